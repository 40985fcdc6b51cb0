"""FlexiCubes: the surface where a signed distance on cube corners changes sign, with learnt freedom
(spec texture.md §7; Shen et al. 2023).

Only cubes that are handed over are looked at; nothing is as large as the whole grid.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

CORNERS = tuple((j & 1, j >> 1 & 1, j >> 2 & 1) for j in range(8))
"""Corner j of a cube, x fastest."""

EDGES = ((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4))
"""Ordered corner pairs; parallel edges all run the same way."""

WAYS = {2: 0, 4: 1, 1: 2}
"""A number for an edge's axis, by the bit in which its corners differ: as ids order their second corners."""

WEIGHT_CHANNELS = 21
WEIGHT_SCALE = 0.99
REVERSED_CASE = 231
"""The one case whose two vertices the published table lists in descending order."""


class Tables(NamedTuple):
    """dual: (256, 4, 7) edges of each vertex of a case, -1 for none; counts: (256,) vertices of a case;
    ambiguity: (256, 5) flag, direction (3) of the neighbour to consult, case to change to."""

    dual: Tensor
    counts: Tensor
    ambiguity: Tensor


class Mesh(NamedTuple):
    """vertices: (V, 3); faces: (F, 3) int64; attributes: (V, A)."""

    vertices: Tensor
    faces: Tensor
    attributes: Tensor


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The published tables, by construction, int64 on the CPU."""
    dual = torch.full((256, 4, 7), -1)
    counts = torch.zeros(256, dtype=torch.int64)
    ambiguity = torch.zeros(256, 5, dtype=torch.int64)
    for case in range(256):
        inside = [bool(case >> j & 1) for j in range(8)]
        sets, ambiguous = _edge_sets(inside)
        sets.sort(key=lambda edges: min(j for e in edges for j in EDGES[e] if inside[j]))
        if case == REVERSED_CASE:
            sets.reverse()
        counts[case] = len(sets)
        for index, edges in enumerate(sets):
            dual[case, index, : len(edges)] = torch.tensor(sorted(edges))
        if len(ambiguous) == 1 and sum(inside) in (5, 6):
            ambiguity[case] = torch.tensor([1, *ambiguous[0], 255 - case])
    return Tables(dual, counts, ambiguity)


def _edge_sets(inside: list[bool]) -> tuple[list[set[int]], list[tuple[int, int, int]]]:
    """Crossing edges of a case joined face by face into sets; outward directions of ambiguous faces."""
    crossing = [e for e, (a, b) in enumerate(EDGES) if inside[a] != inside[b]]
    sets = [{e} for e in crossing]
    ambiguous = []
    for axis in range(3):
        for side in (0, 1):
            face = {j for j in range(8) if CORNERS[j][axis] == side}
            edges = [e for e in crossing if face.issuperset(EDGES[e])]
            links = [edges]
            if len(edges) == 4:
                links = [[e for e in edges if j in EDGES[e]] for j in face if inside[j]]
                ambiguous.append(tuple((2 * side - 1) * (axis == other) for other in range(3)))
            for link in filter(None, links):
                joined = [group for group in sets if group & set(link)]
                sets = [group for group in sets if not group & set(link)] + [set().union(*joined)]
    return sets, ambiguous


def corner_ids(cubes: Tensor, resolution: int) -> Tensor:
    """Grid vertices of cubes (C, 3): (C, 8) int64, id (x · (R + 1) + y) · (R + 1) + z."""
    steps = torch.tensor(corner_steps(resolution), device=cubes.device)
    return cube_ids(cubes, resolution + 1).unsqueeze(1) + steps


def corner_steps(resolution: int) -> list[int]:
    """What leads from the id of a cube's first grid vertex to those of its eight."""
    return [(x * (resolution + 1) + y) * (resolution + 1) + z for x, y, z in CORNERS]


def cube_ids(cubes: Tensor, resolution: int) -> Tensor:
    """(C, 3) -> (C,) int64, (x · R + y) · R + z."""
    x, y, z = cubes.long().unbind(-1)
    return (x * resolution + y) * resolution + z


def cube_cases(sdf: Tensor) -> Tensor:
    """Signed distances of the corners (C, 8), negative inside -> inside corners as bits, (C,) int64."""
    return ((sdf < 0).long() << torch.arange(8, device=sdf.device)).sum(-1)


def is_surface(cases: Tensor) -> Tensor:
    return (cases > 0) & (cases < 255)


def resolve_ambiguity(cases: Tensor, cubes: Tensor, resolution: int) -> Tensor:
    """Cases of the surface cubes, in ascending cube order, such that neighbours agree about shared faces."""
    if len(cases) == 0:
        return cases
    flag, x, y, z, changed = tables().ambiguity.to(cases.device)[cases].unbind(-1)
    neighbours = cubes.long() + torch.stack([x, y, z], dim=-1)
    within = ((neighbours >= 0) & (neighbours < resolution)).all(-1)
    ids, wanted = cube_ids(cubes, resolution), cube_ids(neighbours, resolution)
    places = torch.searchsorted(ids, wanted).clamp_(max=len(ids) - 1)
    agrees = within & (ids[places] == wanted) & (flag[places] == 1)
    return torch.where((flag == 1) & agrees, changed, cases)


def flexicubes(
    cubes: Tensor,
    corners: Tensor,
    sdf: Tensor,
    positions: Tensor,
    attributes: Tensor,
    resolution: int,
    weights: Tensor | None = None,
) -> Mesh:
    """The surface through cubes of a grid with `resolution` cubes along an edge; differentiable.

    cubes: (C, 3) in ascending order of their ids; corners: (C, 8) rows into the grid vertices, whose rows
    ascend with the vertices' ids; sdf: (V,) negative inside; positions: (V, 3); attributes: (V, A), logits;
    weights: (C, 21) raw beta (12), alpha (8) and gamma (1), or None for the plain dual surface.
    Returned attributes went through the sigmoid. Where cubes are missing the surface stays open.
    """
    cases = cube_cases(sdf[corners])
    surface = is_surface(cases).nonzero().squeeze(1)
    cubes, corners = cubes[surface], corners[surface]
    cases = resolve_ambiguity(cases[surface], cubes, resolution)
    weights = sdf.new_zeros(len(cases), WEIGHT_CHANNELS) if weights is None else weights[surface]
    owners, edges = _dual_vertices(cases)
    points = _place(owners, edges, corners, weights, sdf, torch.cat([positions, attributes.sigmoid()], dim=1))
    gamma = WEIGHT_SCALE * weights[:, -1].sigmoid() + (1 - WEIGHT_SCALE) / 2
    faces = _connect(owners, edges, corners, sdf, gamma)
    return Mesh(points[:, :3], faces, points[:, 3:])


def _dual_vertices(cases: Tensor) -> tuple[Tensor, Tensor]:
    """Cube (D,) and edges (D, 7) of each vertex; cubes with fewer vertices come first."""
    counts = tables().counts.to(cases.device)[cases]
    by_count = counts.argsort(stable=True)
    repeats = counts[by_count]
    owners = by_count.repeat_interleave(repeats)
    firsts = (repeats.cumsum(0) - repeats).repeat_interleave(repeats)
    within = torch.arange(len(owners), device=cases.device) - firsts
    return owners, tables().dual.to(cases.device)[cases[owners], within]


def _place(owners, edges, corners, weights, sdf, values) -> Tensor:
    """Weighted mean of the zero crossings of each vertex's edges: (D, columns of values)."""
    ends = torch.tensor(EDGES, device=edges.device)
    total, weight = values.new_zeros(len(owners), values.shape[1]), values.new_zeros(len(owners), 1)
    for column in edges.unbind(1):
        there = (column >= 0).nonzero().squeeze(1)
        edge, owner = column[there], owners[there]
        first, second = ends[edge].unbind(-1)
        row0, row1 = corners[owner, first], corners[owner, second]
        s0, s1 = (
            _factor(weights[owner, 12 + end]) * sdf[row] for end, row in ((first, row0), (second, row1))
        )
        share = _factor(weights[owner, edge])
        share0, share1 = (share * part / (s1 - s0) for part in (s1, -s0))
        crossing = values[row0] * share0.unsqueeze(1) + values[row1] * share1.unsqueeze(1)
        total, weight = total.index_add_(0, there, crossing), weight.index_add_(0, there, share.unsqueeze(1))
    return total / weight


def _factor(raw: Tensor) -> Tensor:
    """Of an edge (beta) or of a corner's distance (alpha): 1 for 0."""
    return WEIGHT_SCALE * raw.tanh() + 1


def _connect(owners, edges, corners, sdf, gamma) -> Tensor:
    """Two triangles for each grid edge that changes sign between four surface cubes: (F, 3) int64."""
    cubes = len(corners)
    dual = torch.full((cubes, 12), -1, dtype=torch.int32, device=edges.device)
    vertex, column = (edges >= 0).nonzero().unbind(1)
    dual[owners[vertex], edges[vertex, column]] = vertex.int()
    used = (dual >= 0).flatten()
    firsts = corners[:, [first for first, _ in EDGES]].flatten()[used]
    ways = torch.tensor([WAYS[first ^ second] for first, second in EDGES], device=edges.device).int()
    # A grid edge by its first corner and the way it runs, in 32 bits: to them MPS cuts what is to be unique.
    order = (3 * firsts.int() + ways.repeat(cubes)[used]).sort(stable=True)
    _, counts = order.values.unique_consecutive(return_counts=True)
    starts = (counts.cumsum(0) - counts)[counts == 4]
    members = order.indices[starts.unsqueeze(1) + torch.arange(4, device=edges.device)]
    quads = dual.flatten()[used][members]
    outward = sdf[firsts[members[:, 0]]] > 0
    quads = torch.cat([quads[outward][:, [0, 1, 3, 2]], quads[~outward][:, [2, 3, 1, 0]]])
    corner_gamma = gamma[owners][quads]
    along = corner_gamma[:, 0] * corner_gamma[:, 2] > corner_gamma[:, 1] * corner_gamma[:, 3]
    halves = torch.tensor([[0, 1, 3, 3, 1, 2], [0, 1, 2, 0, 2, 3]], device=edges.device)
    return quads.gather(1, halves[along.long()]).view(-1, 3).long()
