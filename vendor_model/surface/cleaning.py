"""Plain repairs of a triangle mesh, and a coarser mesh that keeps its outline.

Arrays: vertices (V, 3) float, faces (F, 3) int. Nothing is edited in place.
"""

import numpy as np


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
    _, first, group = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return vertices[first[order]], rank[group.reshape(-1)][faces].astype(faces.dtype)


def decimate(vertices: np.ndarray, faces: np.ndarray, max_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of at most max_faces triangles: vertices of one cell of the finest grid that will do are joined
    where the planes of their triangles meet best, so that flat sides and corners stay in place.

    Returns the mesh itself when it is small enough; (vertices, faces).
    """
    if len(faces) <= max_faces:
        return vertices, faces
    coarse, fine = 1, 2 + int(np.sqrt(max_faces))  # a closed surface fills more cells than 2/3 of side²
    while fine - coarse > 1:
        middle = (coarse + fine) // 2
        if len(_cluster(vertices, faces, middle)[1]) <= max_faces:
            coarse = middle
        else:
            fine = middle
    cells, coarse_faces = _cluster(vertices, faces, coarse)
    joined = _meeting_points(vertices, faces, cells)
    used, compact = np.unique(coarse_faces, return_inverse=True)
    return joined[used].astype(vertices.dtype), compact.reshape(-1, 3).astype(faces.dtype)


def _drop_degenerate(faces: np.ndarray) -> np.ndarray:
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def _drop_repeated(faces: np.ndarray) -> np.ndarray:
    """Keeps the first of triangles with the same corners in the same sense of rotation."""
    turn = np.argmin(faces, axis=1)[:, None]
    turned = np.take_along_axis(faces, (turn + np.arange(3)) % 3, axis=1)
    return faces[np.sort(np.unique(turned, axis=0, return_index=True)[1])]


def _drop_non_manifold(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    while len(faces):
        a, b, c = vertices[faces].swapaxes(0, 1)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        _, edge = np.unique(edges, axis=0, return_inverse=True)
        edge = edge.reshape(-1)
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
    low = vertices.min(0)
    cell = np.ptp(vertices, axis=0).max() / side
    place = np.minimum(((vertices - low) / cell).astype(np.int64), side - 1)
    _, cells = np.unique(np.ravel_multi_index(place.T, (side,) * 3), return_inverse=True)
    return cells, _drop_repeated(_drop_degenerate(cells[faces]))


def _meeting_points(vertices: np.ndarray, faces: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """For each cell the point (C, 3) nearest to the planes of the triangles at its vertices (least squares,
    weighted by squared area), and near the mean of its vertices where the planes leave it free."""
    count = cells.max() + 1
    mean = np.stack([np.bincount(cells, axis, count) for axis in vertices.T], axis=-1)
    mean /= np.bincount(cells, minlength=count)[:, None]
    a, b, c = vertices[faces].astype(np.float64).swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    owner = cells[faces].reshape(-1)
    normal = np.repeat(normal, 3, axis=0)
    height = np.sum(normal * (np.repeat(a, 3, axis=0) - mean[owner]), axis=-1)
    matrix, vector = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(matrix, owner, normal[:, :, None] * normal[:, None, :])
    np.add.at(vector, owner, normal * height[:, None])
    shift = np.einsum("cij,cj->ci", np.linalg.pinv(matrix, rcond=1e-2, hermitian=True), vector)
    low, high = _bounds(vertices - mean[cells], cells, count)
    return mean + np.clip(shift, low, high)


def _bounds(values: np.ndarray, group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest values (count, 3) of each group."""
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, group, values)
    np.maximum.at(high, group, values)
    return low, high
