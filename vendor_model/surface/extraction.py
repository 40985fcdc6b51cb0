"""Cube features of the mesh decoder to a coloured triangle mesh (spec texture.md §6).

Cubes that the decoder did not list have nothing but outside at corners of their own; those beside a listed
inside corner can still carry surface, and are found from it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.surface.flexicubes import (
    CORNERS,
    WEIGHT_CHANNELS,
    Mesh,
    corner_ids,
    cube_cases,
    cube_ids,
    flexicubes,
    is_surface,
)
from vendor_model.types import Surface

COLOR_CHANNELS = 6
"""Colour and normal map, three logits each."""

FEATURE_SPLIT = (8, 8 * 3, WEIGHT_CHANNELS, 8 * COLOR_CHANNELS)
"""Columns: signed distance, deformation of the eight corners, FlexiCubes weights, colours of the corners."""

FEATURE_CHANNELS = sum(FEATURE_SPLIT)


class CornerGrid(NamedTuple):
    """Grid vertices that listed cubes touch, ascending. ids: (V,) int64; sdf: (V,) mean over the touching
    cubes; cubes: (V, 8) int32 row of the cube that has the vertex as its corner j, or the number of cubes
    where none is listed; corners: (C, 8) int32 rows of each cube's corners."""

    ids: Tensor
    sdf: Tensor
    cubes: Tensor
    corners: Tensor


def corner_grid(features: Tensor, cubes: Tensor, resolution: int) -> CornerGrid:
    """Features (C, 101) of listed cubes (C, 3), in any order, to their grid vertices."""
    ids, rows = distinct(corner_ids(cubes, resolution), (resolution + 1) ** 3)
    touching = torch.full((len(ids), 8), len(cubes), dtype=torch.int32, device=ids.device)
    every = torch.arange(len(cubes), dtype=torch.int32, device=ids.device)
    for corner in range(8):
        touching[rows[:, corner].long(), corner] = every
    sdf = _mean(lambda corner: features[:, corner, None] - 1 / resolution, touching, len(cubes))
    return CornerGrid(ids, sdf.squeeze(1), touching, rows)


def corner_attributes(features: Tensor, touching: Tensor) -> tuple[Tensor, Tensor]:
    """Deformation (n, 3) and colour logits (n, 6) of grid vertices. touching: (n, 8) rows of a `CornerGrid`'s
    cubes."""
    _, deformation, _, color = features.split(FEATURE_SPLIT, dim=1)
    deformation, color = deformation.unflatten(1, (8, 3)), color.unflatten(1, (8, COLOR_CHANNELS))
    means = _mean(
        lambda corner: torch.cat([deformation[:, corner], color[:, corner]], dim=1), touching, len(features)
    )
    return means[:, :3], means[:, 3:]


def _mean(values: Callable[[int], Tensor], touching: Tensor, cubes: int) -> Tensor:
    """values(corner): (C, k) -> their mean over the cubes that touch each vertex, (n, k) float32.

    Looking up the eight cubes of a vertex, rather than adding into it, has one order of summation; a corner
    at a time, so that the features are not copied.
    """
    total = 0.0
    for corner in range(8):
        padded = F.pad(values(corner).float(), (0, 0, 0, 1))
        total = total + padded.index_select(0, touching[:, corner])
    return total / (touching < cubes).sum(1, keepdim=True)


def distinct(ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The different ids, ascending, and the row of each id among them, int32, shaped as ids.

    A mark for each of the `count` ids that there can be takes one pass where sorting takes many.
    """
    present = torch.zeros(count, dtype=torch.bool, device=ids.device)
    present[ids.flatten()] = True
    rows = present.cumsum(0, dtype=torch.int32) - 1
    return present.nonzero().squeeze(1), rows[ids]


def vertex_coords(ids: Tensor, resolution: int) -> Tensor:
    """(V,) ids -> (V, 3) int64 in 0..resolution."""
    side = resolution + 1
    return torch.stack([ids // side**2, ids // side % side, ids % side], dim=-1)


def vertex_positions(ids: Tensor, deformation: Tensor, resolution: int) -> Tensor:
    """Where deformed grid vertices lie in the object frame: (V, 3); at most half a cube from their place."""
    reach = (1 - 1e-8) / (2 * resolution)
    return vertex_coords(ids, resolution) / resolution - 0.5 + reach * deformation.tanh()


def extract_mesh(features: Tensor, cubes: Tensor, resolution: int) -> Mesh:
    """Features (C, 101) of listed cubes (C, 3) -> mesh in the object frame; attributes: colour and normal map
    (6) in 0..1. Differentiable. Nothing inside, or nothing outside, gives a mesh without faces."""
    grid = corner_grid(features, cubes, resolution)
    cubes, weights = _surface_cubes(features, cubes, grid, resolution)
    corners = corner_ids(cubes, resolution)
    ids, rows = distinct(corners, (resolution + 1) ** 3)
    places = torch.searchsorted(grid.ids, ids).clamp_(max=max(len(grid.ids) - 1, 0))
    listed = grid.ids[places] == ids
    deformation, color = (
        torch.where(listed.unsqueeze(1), values, 0.0)
        for values in corner_attributes(features, grid.cubes[places])
    )
    sdf = torch.where(listed, grid.sdf[places], 1.0)
    positions = vertex_positions(ids, deformation, resolution)
    return flexicubes(cubes, rows.long(), sdf, positions, color, resolution, weights)


def _surface_cubes(features, cubes, grid: CornerGrid, resolution) -> tuple[Tensor, Tensor]:
    """Cubes (S, 3) that the surface crosses, listed or not, in ascending order, and their raw weights."""
    corner_sdf = grid.sdf.detach().index_select(0, grid.corners.flatten()).view(-1, 8)
    rows = is_surface(cube_cases(corner_sdf)).nonzero().squeeze(1)
    listed = cubes[rows].long()
    # FlexiCubes itself passes over those few of the unlisted cubes whose corners are all listed and inside.
    border = (grid.sdf < 0) & (grid.cubes == len(cubes)).any(1)
    offsets = torch.tensor(CORNERS, device=cubes.device)
    unlisted = (vertex_coords(grid.ids[border], resolution).unsqueeze(1) - offsets)[
        grid.cubes[border] == len(cubes)
    ]
    unlisted = unlisted[((unlisted >= 0) & (unlisted < resolution)).all(-1)]
    ids, _ = distinct(cube_ids(unlisted, resolution), resolution**3)
    weights = features.split(FEATURE_SPLIT, dim=1)[2].index_select(0, rows).float()
    weights = torch.cat([weights, weights.new_zeros(len(ids), WEIGHT_CHANNELS)])
    together, order = torch.cat([cube_ids(listed, resolution), ids]).sort()
    return vertex_coords(together, resolution - 1), weights[order]


def to_surface(mesh: Mesh) -> Surface:
    """The record that leaves the model: arrays, colours only."""
    return Surface(
        vertices=mesh.vertices.detach().float().cpu().numpy(),
        faces=mesh.faces.int().cpu().numpy(),
        colors=mesh.attributes[:, :3].detach().float().cpu().numpy(),
    )
