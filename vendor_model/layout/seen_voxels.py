"""Puts single voxels right by the point map, once shape and pose have been fitted to it.

A fit moves a latent, and what it decodes to is a likely shape: a voxel may be left before a surface that the
camera sees, and one that holds a point of the object may be missing.
"""

import numpy as np
import torch
from torch import Tensor

from vendor_model.layout.alignment import reliable_pixels
from vendor_model.layout.frames import object_from_camera
from vendor_model.layout.sight_lines import seen_empty
from vendor_model.types import PointMap, Pose

SURE = 1.0
"""Least size of the logits of voxels that are put right."""
FRONT = 1.0
"""How far before a seen surface, in voxels, the centre of one must be for it to be empty."""
ROUGHEST = 0.25
"""Noise of the depths, in voxels, above which they tell nothing about single ones: a cautious guess."""


def correct_seen_voxels(logits: Tensor, pose: Pose, point_map: PointMap, mask: np.ndarray) -> Tensor:
    """Logits (1, 1, R, R, R) of voxels in the object frame, negative where the camera sees through them and
    positive where it sees the object of the mask (H, W) bool; as they were where the point map shows nothing
    of the object or is too rough, or where nothing would be left.
    """
    resolution = logits.shape[-1]
    voxel = pose.scale[0] / resolution
    if not roughness(point_map, mask) <= ROUGHEST * voxel:
        return logits
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    empty = seen_empty(centres.reshape(-1, 3), pose, point_map, FRONT / resolution)
    empty = torch.from_numpy(empty.reshape(centres.shape[:3]))
    filled = _holding(point_map.points[reliable_pixels(point_map.points, mask)], pose, resolution)
    solid = logits[0, 0]
    solid = torch.where(empty, solid.clamp(max=-SURE), solid)
    solid = torch.where(filled, solid.clamp(min=SURE), solid)
    return solid[None, None] if (solid > 0).any() else logits


def roughness(point_map: PointMap, mask: np.ndarray) -> float:
    """Standard deviation of the depths' noise inside a mask (H, W), in the point map's unit, by how they bend
    from pixel to pixel; NaN where no three of a row are known."""
    depth = np.where(mask & np.isfinite(point_map.points[..., 2]), point_map.points[..., 2], np.nan)
    bends = np.abs(np.diff(depth.astype(np.float64), 2, axis=1))
    bends = bends[np.isfinite(bends)]
    # Of a normal distribution half lies within 0.6745, and the weights 1, -2, 1 make noise sqrt(6) as large.
    return float(np.median(bends) / (0.6745 * 6**0.5)) if len(bends) else np.nan


def _holding(points: np.ndarray, pose: Pose, resolution: int) -> Tensor:
    """The voxels (R, R, R) bool that hold points (N, 3) of the camera frame."""
    cells = np.floor((object_from_camera(points.astype(np.float64), pose) + 0.5) * resolution).astype(int)
    cells = cells[((cells >= 0) & (cells < resolution)).all(1)]
    filled = torch.zeros(3 * [resolution], dtype=torch.bool)
    filled[tuple(torch.from_numpy(cells).T)] = True
    return filled
