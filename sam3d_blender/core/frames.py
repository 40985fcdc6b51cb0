"""Where an object and the camera stand in Blender, from the pose and the intrinsics of a photo.

Blender's world here has the photo's camera at its origin, looking along +Y with Z up. All arrays are
float64; intrinsics are (3, 3) in pixels, OpenCV axes (x right, y down, z forward), with pixel edges at
whole numbers (spec layout.md §3.3).
"""

from typing import NamedTuple

import numpy as np

WORLD_FROM_CAMERA = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""Turns column vectors of the model's camera frame (x left, y up, z forward) into Blender's world."""

CAMERA_ROTATION_EULER = (np.pi / 2, 0.0, 0.0)
"""XYZ Euler angles of the camera object that looks along +Y with Z up; its location is the origin."""

SENSOR_WIDTH = 36.0
"""Millimetres, full frame; the sensor is always fitted horizontally, also for portrait photos."""

_QUATERNION_WORLD_FROM_CAMERA = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])


class ObjectTransform(NamedTuple):
    """Channels of a Blender object whose mesh is in the model's object frame.

    location: (3,); rotation_quaternion: (4,) (w, x, y, z), unit; scale: (3,).
    """

    location: np.ndarray
    rotation_quaternion: np.ndarray
    scale: np.ndarray


class CameraLens(NamedTuple):
    """Settings of a Blender camera with `sensor_fit` HORIZONTAL and `sensor_width` 36.

    lens: focal length in mm; shift_x, shift_y: in widths of the image; pixel_aspect_y: for the render
    settings, with pixel_aspect_x = 1.
    """

    lens: float
    shift_x: float
    shift_y: float
    pixel_aspect_y: float


def object_transform(rotation, translation, scale) -> ObjectTransform:
    """The object channels that place a decoded mesh as its pose says.

    rotation: quaternion (4,) (w, x, y, z) of any norm; translation: (3,); scale: (3,). The pose
    multiplies row vectors by R(rotation), so a Blender object carries the conjugate rotation.
    """
    rotation = np.asarray(rotation, np.float64)
    conjugate = rotation * [1, -1, -1, -1] / np.linalg.norm(rotation)
    return ObjectTransform(
        location=WORLD_FROM_CAMERA @ np.asarray(translation, np.float64),
        rotation_quaternion=_quaternion_product(_QUATERNION_WORLD_FROM_CAMERA, conjugate),
        scale=np.array(scale, np.float64),
    )


def transform_matrix(transform: ObjectTransform) -> np.ndarray:
    """The (4, 4) matrix of the channels, for column vectors: Blender's `matrix_world`."""
    w, x, y, z = transform.rotation_quaternion
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * transform.scale
    matrix[:3, 3] = transform.location
    return matrix


def camera_lens(intrinsics, width: int, height: int) -> CameraLens:
    """The Blender camera that sees what the photo's camera saw. width, height: of the photo in pixels."""
    (focal_x, _, centre_x), (_, focal_y, centre_y), _ = np.asarray(intrinsics, np.float64)
    aspect = focal_x / focal_y
    return CameraLens(
        lens=focal_x * SENSOR_WIDTH / width,
        shift_x=(width / 2 - centre_x) / width,
        shift_y=(centre_y - height / 2) * aspect / width,  # Blender measures it in widths of square pixels
        pixel_aspect_y=aspect,
    )


def _quaternion_product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hamilton product of two quaternions (w, x, y, z)."""
    scalar = first[0] * second[0] - first[1:] @ second[1:]
    vector = first[0] * second[1:] + second[0] * first[1:] + np.cross(first[1:], second[1:])
    return np.array([scalar, *vector])
