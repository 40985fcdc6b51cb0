"""Cube features of the mesh decoder to a coloured triangle mesh (spec texture.md §6).

Cubes that the decoder did not list have nothing but outside at corners of their own; those beside a listed
inside corner can still carry surface, and are found from it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vendor_model.surface.flexicubes import (
    CORNERS,
    WEIGHT_CHANNELS,
    Mesh,
    corner_steps,
    cube_ids,
    flexicubes,
)
from vendor_model.types import Surface

COLOR_CHANNELS = 6
"""Colour and normal map, three logits each."""

FEATURE_SPLIT = (8, 8 * 3, WEIGHT_CHANNELS, 8 * COLOR_CHANNELS)
"""Columns: signed distance, deformation of the eight corners, FlexiCubes weights, colours of the corners."""

FEATURE_CHANNELS = sum(FEATURE_SPLIT)


class CornerGrid(NamedTuple):
    """Grid vertices that listed cubes touch, ascending. ids: (V,) int64; sdf: (V,) mean over the touching
    cubes; cubes: (8, V) int32 row of the cube that has the vertex as its corner j, or the number of cubes
    where none is listed; corners: (8, C) int32 rows of each cube's corners.

    Corner by corner, because every table of eight columns is a hundred megabytes of new memory at 256³.
    """

    ids: Tensor
    sdf: Tensor
    cubes: Tensor
    corners: Tensor


def corner_grid(features: Tensor, cubes: Tensor, resolution: int) -> CornerGrid:
    """Features (C, 101) of listed cubes (C, 3), in any order, to their grid vertices."""
    ids, corners = distinct_corners(cubes, resolution)
    touching = torch.full((8, len(ids)), len(cubes), dtype=torch.int32, device=ids.device)
    every = torch.arange(len(cubes), dtype=torch.int32, device=ids.device)
    for cubes_of, rows in zip(touching, corners, strict=True):
        cubes_of.index_copy_(0, rows.long(), every)
    # A copy that caches hold: each distance is asked for once, from anywhere.
    distances = features[:, :8].t().contiguous()
    sdf = _mean(distances.unsqueeze(2), touching).squeeze(1) - 1 / resolution
    return CornerGrid(ids, sdf, touching, corners)


def distinct_corners(cubes: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """The different grid vertices of cubes (C, 3), ascending ids, and the rows of each cube's corners among
    them, (8, C) int32.

    A mark for each vertex that there can be takes one pass where sorting takes many.
    """
    first, steps = cube_ids(cubes, resolution + 1), corner_steps(resolution)
    present = torch.zeros((resolution + 1) ** 3, dtype=torch.bool, device=cubes.device)
    for step in steps:
        present[first + step] = True
    rows = present.cumsum(0, dtype=torch.int32).sub_(1)
    corners = torch.empty(8, len(cubes), dtype=torch.int32, device=cubes.device)
    for corner, step in zip(corners, steps, strict=True):
        corner.copy_(rows.index_select(0, first + step))  # MPS up to PyTorch 2.13 puts out= in row 0
    return present.nonzero().squeeze(1), corners


def corner_attributes(features: Tensor, touching: Tensor) -> tuple[Tensor, Tensor]:
    """Deformation (n, 3) and colour logits (n, 6) of grid vertices. touching: (8, n) rows of a `CornerGrid`'s
    cubes."""
    _, deformation, _, color = features.split(FEATURE_SPLIT, dim=1)
    by_corner = (values.unflatten(1, (8, -1)).transpose(0, 1) for values in (deformation, color))
    return tuple(_mean(values, touching) for values in by_corner)


def _mean(values: Tensor, touching: Tensor) -> Tensor:
    """Values (8, C, k) of the cubes' corners -> their mean over the cubes that touch each vertex, (n, k).

    Looking up the eight cubes of a vertex, rather than adding into it, has one order of summation.
    """
    total, count, cubes = 0.0, 0, values.shape[1]
    for of_corner, rows in zip(values, touching, strict=True):
        listed = (rows < cubes).unsqueeze(1)
        found = of_corner.index_select(0, rows.clamp(max=cubes - 1)).float()
        total, count = total + found * listed, count + listed.int()
    return total / count


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
    return flexicubes(*_around_surface(features, cubes, resolution))


def _around_surface(features: Tensor, cubes: Tensor, resolution: int) -> tuple:
    """What `flexicubes` takes: the cubes that the surface crosses and the grid vertices that they touch."""
    grid = corner_grid(features, cubes, resolution)
    cubes, weights = _surface_cubes(features, cubes, grid, resolution)
    ids, corners = distinct_corners(cubes, resolution)
    places = torch.searchsorted(grid.ids, ids).clamp_(max=max(len(grid.ids) - 1, 0))
    listed = grid.ids[places] == ids
    deformation, color = (
        torch.where(listed.unsqueeze(1), values, 0.0)
        for values in corner_attributes(features, grid.cubes[:, places])
    )
    sdf = torch.where(listed, grid.sdf[places], 1.0)
    positions = vertex_positions(ids, deformation, resolution)
    return cubes, corners.t().long(), sdf, positions, color, resolution, weights


def _surface_cubes(features, cubes, grid: CornerGrid, resolution) -> tuple[Tensor, Tensor]:
    """Cubes (S, 3) that the surface crosses, listed or not, in ascending order, and their raw weights."""
    inside = grid.sdf < 0
    some, all_of_them = False, True
    for corner in grid.corners:
        here = inside.index_select(0, corner)
        some, all_of_them = here | some, here & all_of_them
    rows = (some & ~all_of_them).nonzero().squeeze(1)
    listed = cubes[rows].long()
    # FlexiCubes itself passes over those few of the unlisted cubes whose corners are all listed and inside.
    border = inside & (grid.cubes == len(cubes)).any(0)
    offsets = torch.tensor(CORNERS, device=cubes.device).unsqueeze(1)
    unlisted = (vertex_coords(grid.ids[border], resolution) - offsets)[grid.cubes[:, border] == len(cubes)]
    ids = cube_ids(unlisted[((unlisted >= 0) & (unlisted < resolution)).all(-1)], resolution).unique()
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
