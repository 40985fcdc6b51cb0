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
from vendor_model.layout.frames import ndc_from_camera, object_from_camera, pixels_from_ndc
from vendor_model.layout.moved_pose import MovedPose, upright_turns
from vendor_model.layout.sight_lines import seen_empty
from vendor_model.layout.silhouette import intersection_over_union
from vendor_model.types import PointMap, Pose

PLANES = torch.tensor([[-1.0, 1, 1], [1, -1, 1]])
"""Signs of the axes for the plane across x and the one across y; the upright is none."""
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
FINEST = 512
"""Cells of the empty space along an object's longer side, above which pixels are put together."""
SYMMETRY_STEPS, RATE = 50, 0.02
"""Of Adam, for the pose."""


class EmptySpace:
    """The space that the camera sees to be empty around and before the object of a mask (H, W) bool."""

    def __init__(self, point_map: PointMap, mask: np.ndarray):
        self.point_map = point_map
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        side = int(max(np.ptp(rows), np.ptp(columns))) + 2
        self._step = -(-side // FINEST)
        self._top, self._left = max(rows[0] - side, 0), max(columns[0] - side, 0)
        crop = np.s_[self._top : rows[-1] + side + 1, self._left : columns[-1] + side + 1]
        depth, mask = point_map.points[crop][..., 2], mask[crop]
        depth = np.where(np.isfinite(depth), depth, np.inf)
        near = depth[mask].min()
        depth, mask = _blocks(depth, self._step).min((1, 3)), _blocks(mask, self._step).any((1, 3))
        # Behind what stands before the object it may go on, and where the mask shows it, it is.
        hidden = mask | (depth < near)
        outside = ndimage.distance_transform_edt(~hidden)
        nearest = ndimage.distance_transform_edt(
            ~hidden | np.isinf(depth), return_distances=False, return_indices=True
        )
        self._maps = torch.from_numpy(np.stack([depth[tuple(nearest)], outside * self._step])[None]).float()

    def reach(self, places: Tensor) -> Tensor:
        """How far places (..., 3) of the camera frame stand in it, in its unit: before the surface that is
        seen there, and beside the object's outline. Differentiable."""
        places = torch.cat([places[..., :2], places[..., 2:].clamp(min=1e-6)], dim=-1)
        intrinsics = torch.from_numpy(self.point_map.intrinsics).float()
        size = self.point_map.points.shape[:2]
        pixels = pixels_from_ndc(ndc_from_camera(places, intrinsics, size)[..., :2], size)
        cells = (pixels - pixels.new_tensor([self._left, self._top])) / self._step
        grid = 2 * cells / cells.new_tensor(self._maps.shape[:1:-1]) - 1
        found = F.grid_sample(self._maps, grid.view(1, 1, -1, 2), align_corners=False, padding_mode="border")
        depth, outside = found.view(2, *places.shape[:-1])
        z = places[..., 2]
        return F.relu(depth - z) + F.relu(outside - self._step / 2) * z / intrinsics[0, 0]


def _blocks(image: np.ndarray, side: int) -> np.ndarray:
    """(H', side, W', side): an image (H, W) in squares, without what is left over at its end."""
    height, width = (length // side for length in image.shape)
    return image[: height * side, : width * side].reshape(height, side, width, side)


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
    chosen = torch.tensor([[float(axis in axes) for axis in (0, 1)] for axes in choices])
    posed = MovedPose(pose, upright_turns(1).repeat(len(choices), 1, 1))

    def loss() -> Tensor:
        reach = torch.stack([mirrored_reach(posed, points, plane, empty) for plane in PLANES], dim=1)
        return (error(posed) + REACH_WEIGHT * (reach * chosen).sum(1)).sum()

    limit = WORSE * error(posed).detach()
    descend(loss, [(parameter, RATE) for parameter in posed.parameters], SYMMETRY_STEPS, on_step)
    agrees = error(posed).detach() <= limit
    for number in reversed(range(len(choices))):
        found = posed.pose(number)
        if agrees[number] and all(
            _refuted(points, found, PLANES[axis], empty.point_map) <= REFUTED for axis in choices[number]
        ):
            return Symmetry(found, [PLANES[axis] for axis in choices[number]])
    return Symmetry(pose, [])


def _refuted(points: Tensor, pose: Pose, plane: Tensor, point_map: PointMap) -> float:
    mirrored = object_from_camera(points.double().numpy(), pose) * plane.numpy()
    return float(seen_empty(mirrored, pose, point_map, MARGIN).mean())
