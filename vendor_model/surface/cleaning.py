"""Plain repairs of a triangle mesh, and a coarser mesh that keeps its outline.

Arrays: vertices (V, 3) float, faces (F, 3) int. Nothing is edited in place.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vendor_model.types import Surface

CRUMB = 0.005
"""Share of the largest part's volume below which a part counts as a crumb of sampling."""


def clean_mesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merges equal vertices, then drops degenerate, repeated and non-manifold triangles.

    The order of what stays is kept. Of the triangles on an edge that has more than two, the two largest
    stay. Returns (vertices, faces) (spec layout.md §5.3).
    """
    vertices, faces = merge_equal_vertices(vertices, faces)
    faces = _drop_repeated(_drop_degenerate(faces))
    return vertices, _drop_non_manifold(vertices, faces)


def merge_equal_vertices(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lets faces share the first of vertices at exactly one place."""
    first, group = _equal_rows(vertices)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return vertices[first[order]], rank[group][faces].astype(faces.dtype)


def decimate(vertices: np.ndarray, faces: np.ndarray, max_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of at most max_faces triangles: vertices of one cell of the finest grid that will do are joined
    where the planes of their triangles meet best, so that flat sides and corners stay in place.

    Returns the mesh itself when it is small enough; (vertices, faces).
    """
    if len(faces) <= max_faces:
        return vertices, faces
    coarse, fine = 1, 2 + int(np.sqrt(max_faces))
    while fine - coarse > 1:
        middle = (coarse + fine) // 2
        if len(_cluster(vertices, faces, middle)[1]) <= max_faces:
            coarse = middle
        else:
            fine = middle
    cells, coarse_faces = _cluster(vertices, faces, coarse)
    joined = _meeting_points(vertices, faces, cells, _cell_size(vertices, coarse))
    used, compact = np.unique(coarse_faces, return_inverse=True)
    return joined[used].astype(vertices.dtype), compact.reshape(-1, 3).astype(faces.dtype)


def _equal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first index (G,) of each group of equal rows, and the group (N,) of each row."""
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.ones(len(rows), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.empty(len(rows), np.int64)
    group[order] = np.cumsum(starts) - 1
    return order[starts], group


def _drop_degenerate(faces: np.ndarray) -> np.ndarray:
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def _drop_repeated(faces: np.ndarray) -> np.ndarray:
    """Keeps the first of triangles with the same corners in the same sense of rotation."""
    turn = np.argmin(faces, axis=1)[:, None]
    turned = np.take_along_axis(faces, (turn + np.arange(3)) % 3, axis=1)
    return faces[np.sort(_equal_rows(turned)[0])]


def _drop_non_manifold(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    while len(faces):
        a, b, c = vertices[faces].swapaxes(0, 1)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        _, edge = _equal_rows(edges)
        face = np.repeat(np.arange(len(faces)), 3)
        order = np.lexsort((-area[face], edge))  # by edge, the largest triangle first
        starts = np.flatnonzero(np.diff(edge[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        surplus = face[order[rank >= 2]]
        if not len(surplus):
            break
        faces = np.delete(faces, surplus, axis=0)
    return faces


def _cluster(vertices: np.ndarray, faces: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The number (V,) of each vertex's cell in a grid of `side` cells along the longest extent, and the
    triangles (F', 3) between cells."""
    place = np.minimum(((vertices - vertices.min(0)) / _cell_size(vertices, side)).astype(np.int64), side - 1)
    _, cells = np.unique(np.ravel_multi_index(place.T, (side,) * 3), return_inverse=True)
    return cells, _drop_repeated(_drop_degenerate(cells[faces]))


def _cell_size(vertices: np.ndarray, side: int) -> float:
    return np.ptp(vertices, axis=0).max() / side


def _meeting_points(vertices: np.ndarray, faces: np.ndarray, cells: np.ndarray, reach: float) -> np.ndarray:
    """For each cell the point (C, 3) nearest to the planes of the triangles at its vertices (least squares,
    weighted by squared area); up to `reach` from, and where the planes leave it free at, their mean."""
    mean = _sums(vertices, cells) / np.bincount(cells)[:, None]
    a, b, c = vertices[faces].astype(np.float64).swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    owner = cells[faces].reshape(-1)
    normal = np.repeat(normal, 3, axis=0)
    height = np.sum(normal * (np.repeat(a, 3, axis=0) - mean[owner]), axis=-1, keepdims=True)
    outer = (normal[:, :, None] * normal[:, None, :]).reshape(-1, 9)
    inverse = np.linalg.pinv(_sums(outer, owner).reshape(-1, 3, 3), rcond=1e-2, hermitian=True)
    shift = np.einsum("cij,cj->ci", inverse, _sums(normal * height, owner))
    return mean + shift.clip(-reach, reach)


def _sums(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums (G, C) of the rows of values (N, C) in each group."""
    return np.stack([np.bincount(group, column) for column in values.T], axis=-1)


def drop_cavities_and_crumbs(surface: Surface) -> Surface:
    """The surface without the walls of cavities that nobody can see, and without parts that are crumbs.

    Voxels are pruned to a shell, so a decoded solid is hollow (spec texture.md §3.3). A cavity's wall faces
    inward: the volume that it encloses is negative. A crumb's is less than CRUMB of the largest part's.
    """
    a, b, c = surface.vertices.astype(np.float64)[surface.faces].transpose(1, 0, 2)
    edges = surface.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    links = coo_array((np.ones(len(edges), bool), edges.T), shape=(len(surface.vertices),) * 2)
    part = connected_components(links, directed=False)[1][surface.faces[:, 0]]
    # Seen from its own middle, a part that the border of the grid leaves open encloses about what it should.
    middle = (_sums(a + b + c, part) / 3 / np.maximum(np.bincount(part), 1)[:, None])[part]
    volumes = np.bincount(part, np.einsum("ij,ij->i", a - middle, np.cross(b - middle, c - middle)))
    faces = surface.faces[volumes[part] > max(0.0, CRUMB * volumes.max())]
    used, compact = np.unique(faces, return_inverse=True)
    return Surface(
        surface.vertices[used], compact.reshape(-1, 3).astype(surface.faces.dtype), surface.colors[used]
    )
