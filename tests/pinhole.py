"""Two ways to the same pixel: Blender's camera, and the photo's intrinsics."""

import numpy as np

from sam3d_blender.core.frames import SENSOR_WIDTH, CameraLens


def blender_pixels(world, lens: CameraLens, width: int, height: int) -> np.ndarray:
    """How Blender's manual defines a pinhole camera at the origin that looks along +Y with Z up, its sensor
    fitted horizontally: world points (N, 3) -> pixels (N, 2), x right and y down."""
    across, forward, up = np.asarray(world, np.float64).T
    on_sensor = lens.lens / SENSOR_WIDTH * np.stack([across, up]) / forward  # in widths of the sensor
    u = width * (0.5 + on_sensor[0] - lens.shift_x)
    v = height / 2 - width * (on_sensor[1] - lens.shift_y) / lens.pixel_aspect_y
    return np.stack([u, v], axis=-1)


def photo_pixels(world, intrinsics) -> np.ndarray:
    """Where the photo shows Blender world points (N, 3), by its intrinsics (3, 3)."""
    right, forward, up = np.asarray(world, np.float64).T
    projected = np.stack([right / forward, -up / forward, np.ones_like(forward)], axis=-1)
    return projected @ np.asarray(intrinsics, np.float64)[:2].T
