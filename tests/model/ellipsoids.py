"""What a camera sees of an ellipsoid before a wall, in closed form."""

import numpy as np

from vendor_model.layout.frames import rays_through_pixels
from vendor_model.types import PointMap

FOCAL, SIZE = 120.0, 96
INTRINSICS = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
CENTRE, RADIUS = np.array([0.2, -0.1, 4.0]), 0.8
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
"""The turn of an object whose axes are the camera's, which looks along z."""


def ellipsoid(*radii: float, hidden_columns: int = 0) -> tuple[PointMap, np.ndarray]:
    """With such half axes, the wall at depth 6, the first columns hidden by a board."""
    pixels = np.stack(np.indices((SIZE, SIZE))[::-1], axis=-1) + 0.5
    rays = rays_through_pixels(pixels, INTRINSICS)
    scaled, centre = rays / radii, CENTRE / radii
    along, length = scaled @ centre, (scaled**2).sum(-1)
    root = along**2 - length * (centre @ centre - 1)
    mask = root > 0
    depth = np.where(mask, (along - np.sqrt(root.clip(min=0))) / length, 6.0)
    depth[:, :hidden_columns], mask[:, :hidden_columns] = 2.0, False
    return PointMap((rays * depth[..., None]).astype(np.float32), INTRINSICS), mask


def ball(hidden_columns: int = 0) -> tuple[PointMap, np.ndarray]:
    return ellipsoid(RADIUS, RADIUS, RADIUS, hidden_columns=hidden_columns)
