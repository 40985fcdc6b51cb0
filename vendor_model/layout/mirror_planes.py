"""Planes of symmetry that what the camera sees does not speak against, and the pose that goes with them.

Most objects are their own mirror image across a plane, and so is what is predicted for them. But where a pose
is a little off, points that the camera sees land, once mirrored, in space that it sees to be empty. So the
pose is sought together with the planes.
"""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from vendor_model.layout.adam import descend
from vendor_model.layout.frames import object_from_camera
from vendor_model.layout.moved_pose import MovedPose, upright_turns
from vendor_model.layout.sight_lines import seen_empty
from vendor_model.layout.silhouette import intersection_over_union
from vendor_model.types import PointMap, Pose

ALIKE = 0.8
"""Least overlap of a predicted solid with its mirror image."""
REFUTED = 0.05
"""Largest share of the seen points that may be mirrored into empty space, by more than MARGIN."""
MARGIN = 0.03
"""In object lengths."""
WORSE = 1.1
"""By what factor a pose may agree less with the lines of sight for the sake of its planes."""
REACH_WEIGHT = 20.0
"""Of an object length in empty space, against the disagreement with the lines of sight."""
SYMMETRY_STEPS, RATE = 50, 0.02
"""Of Adam, for the pose."""


class EmptySpace:
    """The space that the camera sees to be empty around and before the object of a mask (H, W) bool."""

    def __init__(self, point_map: PointMap, mask: np.ndarray):
        depth = np.where(np.isfinite(point_map.points[..., 2]), point_map.points[..., 2], np.inf)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        reach = int(max(np.ptp(rows), np.ptp(columns))) + 2
        self._top, self._left = max(rows[0] - reach, 0), max(columns[0] - reach, 0)
        crop = np.s_[self._top : rows[-1] + reach + 1, self._left : columns[-1] + reach + 1]
        depth, mask = depth[crop], mask[crop]
        # Behind what stands before the object it may go on, and where the mask shows it, it is.
        hidden = mask | (depth < depth[mask].min())
        outside = ndimage.distance_transform_edt(~hidden)
        nearest = ndimage.distance_transform_edt(
            ~hidden | np.isinf(depth), return_distances=False, return_indices=True
        )
        self.point_map = point_map
        self._maps = torch.from_numpy(np.stack([depth[tuple(nearest)], outside])[None]).float()

    def reach(self, places: Tensor) -> Tensor:
        """How far places (..., 3) of the camera frame stand in it, in its unit: before the surface that is
        seen there, and beside the object's outline. Differentiable."""
        x, y, z = places.unbind(-1)
        z = z.clamp(min=1e-6)
        intrinsics = self.point_map.intrinsics
        column = intrinsics[0, 2] - intrinsics[0, 0] * x / z - self._left
        row = intrinsics[1, 2] - intrinsics[1, 1] * y / z - self._top
        height, width = self._maps.shape[2:]
        grid = torch.stack([2 * column / width - 1, 2 * row / height - 1], dim=-1).view(1, 1, -1, 2).float()
        found = F.grid_sample(self._maps, grid, align_corners=False, padding_mode="border")
        depth, outside = found.view(2, *z.shape)
        return F.relu(depth - z) + F.relu(outside - 0.5) * z / intrinsics[0, 0]


class Symmetry(NamedTuple):
    """pose: with these planes; planes: signs (3,) of the axes for each of them, across x or y."""

    pose: Pose
    planes: list[Tensor]


def mirrored_reach(posed: MovedPose, points: Tensor, plane: Tensor, empty: EmptySpace) -> Tensor:
    """(B,) how far points (N, 3) of the camera frame reach on average into empty space, in object lengths,
    when they are mirrored across a plane of the object."""
    rotation, translation, scale = posed.parts()
    mirrored = ((points - translation) @ rotation.mT * plane) @ rotation + translation
    return (empty.reach(mirrored) / scale[:, 0]).mean(1)


def find_symmetry(
    logits: Tensor,
    pose: Pose,
    points: Tensor,
    empty: EmptySpace,
    error: Callable[[MovedPose], Tensor],
    on_step: Callable[[int], None],
) -> Symmetry:
    """The most planes that predicted voxels (1, 1, R, R, R) show and points (N, 3) of the object, in the
    camera frame, do not refute, with the pose that they ask for. Where there is none the pose as it was.

    error: disagreement (B,) of poses with the lines of sight. on_step: told each of SYMMETRY_STEPS before it
    is made.
    """
    solid = logits[0, 0] > 0
    likely = [axis for axis in (0, 1) if intersection_over_union(solid, solid.flip(axis)) >= ALIKE]
    choices = [axes for count in (1, 2) for axes in combinations(likely, count)]
    if not choices:
        return Symmetry(pose, [])
    planes = [_plane(axis) for axis in (0, 1)]
    chosen = torch.tensor([[float(axis in axes) for axis in (0, 1)] for axes in choices])
    posed = MovedPose(pose, upright_turns(1).repeat(len(choices), 1, 1))

    def loss() -> Tensor:
        reach = torch.stack([mirrored_reach(posed, points, plane, empty) for plane in planes], dim=1)
        return (error(posed) + REACH_WEIGHT * (reach * chosen).sum(1)).sum()

    limit = WORSE * error(posed).detach()
    descend(loss, [(parameter, RATE) for parameter in posed.parameters], SYMMETRY_STEPS, on_step)
    agrees = error(posed).detach() <= limit
    for number in reversed(range(len(choices))):
        found = posed.pose(number)
        if agrees[number] and all(
            _refuted(points, found, planes[axis], empty.point_map) <= REFUTED for axis in choices[number]
        ):
            return Symmetry(found, [planes[axis] for axis in choices[number]])
    return Symmetry(pose, [])


def _plane(axis: int) -> Tensor:
    signs = torch.ones(3)
    signs[axis] = -1
    return signs


def _refuted(points: Tensor, pose: Pose, plane: Tensor, point_map: PointMap) -> float:
    mirrored = object_from_camera(points.double().numpy(), pose) * plane.numpy()
    return float(seen_empty(mirrored, pose, point_map, MARGIN).mean())
