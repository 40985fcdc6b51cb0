"""What a photo with a point map tells about where an object is, and where it is not.

Along the line of sight of each pixel everything is empty up to the surface that the pixel shows. Where that
surface is the object's, it begins there; elsewhere nothing more is known of the object. Where the mask shows
the object and the point map is not sure, the object is somewhere along the line.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vendor_model.layout.alignment import reliable_pixels
from vendor_model.layout.frames import camera_from_object, pixels_from_camera, rays_through_pixels
from vendor_model.types import PointMap, Pose

MARGIN = 0.25
"""How far around the mask, in its larger side, lines are drawn that miss the object."""


@dataclass(frozen=True)
class SightLines:
    """directions: (L, 3) camera frame, z = 1; depths: (L,) of the surfaces seen, infinite for none;
    on_object: (L,) bool, whether the surface is the object's; through: (L,) bool, whether the line meets the
    object at a depth that nobody knows."""

    directions: Tensor = field(repr=False)
    depths: Tensor = field(repr=False)
    on_object: Tensor = field(repr=False)
    through: Tensor = field(repr=False)

    @property
    def seen_points(self) -> Tensor:
        """(P, 3) camera frame: where lines meet the object."""
        return (self.directions * self.depths[:, None])[self.on_object]


def sight_lines(point_map: PointMap, mask: np.ndarray, count: int, seed: int = 0) -> SightLines:
    """Up to `count` random lines through a mask (H, W) bool, and up to as many around it.

    Points are unsure at jumps in depth, where scanners and depth models mix near and far.
    """
    width = mask.shape[1]
    rng = np.random.default_rng(seed)
    inside, outside = (
        rng.permutation(np.flatnonzero(pixels))[:count] for pixels in (mask, _around(mask) & ~mask)
    )
    chosen = np.concatenate([inside, outside])
    in_mask = np.arange(len(chosen)) < len(inside)
    sure = reliable_pixels(point_map.points, mask).reshape(-1)[chosen]
    rows, columns = np.divmod(chosen, width)
    directions = rays_through_pixels(np.stack([columns, rows], axis=1) + 0.5, point_map.intrinsics)
    depths = point_map.points[..., 2].reshape(-1)[chosen]
    depths = np.where(np.isfinite(depths) & (sure | ~in_mask), depths, np.inf)
    return SightLines(
        torch.from_numpy(directions).float(),
        torch.from_numpy(depths).float(),
        torch.from_numpy(in_mask & sure),
        torch.from_numpy(in_mask & ~sure),
    )


def seen_empty(places: np.ndarray, pose: Pose, point_map: PointMap, margin: float) -> np.ndarray:
    """(N,) bool: which places (N, 3) of the object frame are nearer than the surface that their pixel shows,
    by a margin in object lengths."""
    placed = camera_from_object(places, pose)
    height, width = point_map.points.shape[:2]
    column, row = np.floor(pixels_from_camera(placed, point_map.intrinsics).T)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (placed[:, 2] > 0)
    surface = np.full(len(placed), -np.inf)
    surface[inside] = point_map.points[row[inside].astype(int), column[inside].astype(int), 2]
    surface = np.where(np.isnan(surface), np.inf, surface)
    return placed[:, 2] < surface - margin * pose.scale[0]


def _around(mask: np.ndarray) -> np.ndarray:
    """The box (H, W) bool around a mask, larger by MARGIN on every side."""
    box = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return box
    margin = int(np.ceil(MARGIN * max(np.ptp(rows), np.ptp(columns)) + 1))
    box[
        max(rows[0] - margin, 0) : rows[-1] + margin + 1,
        max(columns[0] - margin, 0) : columns[-1] + margin + 1,
    ] = True
    return box
