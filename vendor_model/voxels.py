"""Occupancy logits to the voxels that carry the structured latent (spec geometry.md §7.3).

Coordinates are (N, 4) int32 rows (batch, i, j, k), lexicographically sorted.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.errors import EmptyReconstructionError

MAX_COORDS = 42000  # what the structured-latent models were trained with


def sparse_structure(
    logits: Tensor,
    downsample_ss_dist: int = 1,
    max_coords: int = MAX_COORDS,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, int]:
    """Logits (B, 1, R, R, R) to the coordinates of the shell and the factor by which they shrank.

    downsample_ss_dist: the distance of `prune`, 0 to keep the voxels inside.
    Raises EmptyReconstructionError where no logit is positive.
    """
    coords = occupied(logits)
    if not len(coords):
        raise EmptyReconstructionError(
            "The model found 0 solid voxels for this object where it needs at least one: "
            "choose more of the object, or try another seed."
        )
    if downsample_ss_dist:
        coords = prune(coords, downsample_ss_dist)
    return downsample(coords, max_coords, generator)


def occupied(logits: Tensor) -> Tensor:
    """Coordinates of the positive logits: (B, 1, R, R, R) -> (N, 4)."""
    return torch.nonzero(logits[:, 0] > 0).int()


def prune(coords: Tensor, distance: int) -> Tensor:
    """Drop the voxels whose whole neighbourhood of (2·distance + 1)³ cells is occupied.

    Batches share one grid, as in the reference.
    """
    corner = coords[:, 1:].amin(0)
    cells = (coords[:, 1:] - corner).long()
    solid = torch.zeros((cells.amax(0) + 1).tolist(), dtype=torch.bool, device=coords.device)
    solid[tuple(cells.T)] = True
    solid = F.pad(solid, [distance] * 6)
    for axis in range(3):
        solid = solid.unfold(axis, 2 * distance + 1, 1).all(-1)
    return coords[~solid[tuple(cells.T)]]


def downsample(
    coords: Tensor, max_coords: int = MAX_COORDS, generator: torch.Generator | None = None
) -> tuple[Tensor, int]:
    """At most `max_coords` voxels, and the factor (1 or 2) that their size grew by.

    generator: a CPU generator, used where halving the grid does not suffice.
    """
    if len(coords) <= max_coords:
        return coords, 1
    coords = halve(coords)
    if len(coords) > max_coords:
        chosen = torch.randperm(len(coords), generator=generator)[:max_coords]
        coords = coords[chosen.to(coords.device)]
    return coords, 2


def halve(coords: Tensor) -> Tensor:
    """Shrink to half about the centre of the bounding box; voxels that meet become one."""
    cells = coords[:, 1:].float()
    low, high = cells.amin(0), cells.amax(0)
    size = high - low + 1
    target = size / 2
    start = low + (size - target) / 2
    end = start + target - 1
    # A flat box has no extent to divide by.
    shrunk = (cells - low) / (high - low).clamp(min=1) * (target - 1) + start
    shrunk = shrunk.round().clamp(start.trunc(), end.trunc())
    return torch.unique(torch.cat([coords[:, :1], shrunk.int()], dim=1), dim=0)
