"""Surfaces as points and as voxels, the forms in which they are compared."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

SAMPLES = 100_000
"""Points of a surface. The paper draws a million; distances are asked from `PROBES` of them to all of the
other surface's, whose gaps are then a third of F1's threshold."""

PROBES = 4096


@dataclass(frozen=True)
class Cloud:
    """Points (SAMPLES, 3) spread evenly over a surface, in random order, and the mesh's vertices (V, 3)."""

    points: np.ndarray = field(repr=False)
    vertices: np.ndarray = field(repr=False)

    @cached_property
    def tree(self) -> cKDTree:
        return cKDTree(self.points, compact_nodes=False)


def cloud(vertices: np.ndarray, faces: np.ndarray) -> Cloud:
    """Points of a mesh, the same at each call: vertices (V, 3) and faces (F, 3)."""
    used = vertices[np.unique(faces)].astype(np.float64)
    return Cloud(sample_surface(vertices, faces, SAMPLES, np.random.default_rng(0)), used)


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count, 3) points on a mesh, uniform by area and in random order.

    Evenly spread rather than independent: every triangle gets its share, and within a large one the points
    follow the R2 low-discrepancy sequence, so that no voxel of the surface is missed.
    """
    return interpolated(vertices, faces, *spread(vertices, faces, count, rng))


def spread(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places of `sample_surface`: triangle (count,) and shares (count, 2) of its later corners."""
    a, b, c = vertices[faces].astype(np.float64).swapaxes(0, 1)
    ends = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    order = rng.permutation(count)
    face = np.searchsorted(ends, (order + rng.random()) / count * ends[-1]).clip(max=len(faces) - 1)
    u, v = (rng.random(2) + order[:, None] * (0.7548776662466927, 0.5698402909980532)).T % 1
    outside = u + v > 1
    u[outside], v[outside] = 1 - u[outside], 1 - v[outside]
    return face, np.stack([u, v], axis=1)


def interpolated(values: np.ndarray, faces: np.ndarray, face: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(count, k): values (V, k) of the vertices at places that `spread` chose."""
    a, b, c = values[faces].astype(np.float64).swapaxes(0, 1)
    return a[face] + shares[:, :1] * (b - a)[face] + shares[:, 1:] * (c - a)[face]


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (N, 3) as rows times an affine matrix (4, 4)."""
    return points @ matrix[:3, :3] + matrix[3, :3]


def distances(
    predicted: Cloud, placement: np.ndarray, truth: Cloud, true_placement: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (PROBES,) from the prediction to the truth and (PROBES,) from the truth to the prediction, in
    the unit of the frame into which similarities (4, 4) for row vectors place the two clouds."""
    there = placement @ np.linalg.inv(true_placement)
    accuracy, _ = truth.tree.query(moved(predicted.points[:PROBES], there))
    completeness, _ = predicted.tree.query(moved(truth.points[:PROBES], np.linalg.inv(there)))
    return accuracy * size_change(true_placement), completeness * size_change(placement)


def size_change(similarity: np.ndarray) -> float:
    """By how much a similarity (4, 4) lengthens."""
    return float(np.cbrt(np.abs(np.linalg.det(similarity[:3, :3]))))


def surface_voxels(points: np.ndarray, resolution: int = 64) -> np.ndarray:
    """(2R, 2R, 2R) bool, the cells that hold points (N, 3). R cells span -1..1 along an axis, the rest is
    room around that for what lies farther out; beyond ±2 points count for the last cell.

    Walls at -1 and 1, where `registration.unit_box` puts two of every shape, lie in the first and the last
    of the R cells, not on the border of the next one, where rounding would decide.
    """
    inside = points * (1 - 1e-6)
    cells = np.floor((inside + 2) * (resolution / 2)).astype(np.int64).clip(0, 2 * resolution - 1)
    grid = np.zeros((2 * resolution,) * 3, bool)
    grid[tuple(cells.T)] = True
    return grid


def filled(surface: np.ndarray) -> np.ndarray:
    """Surface voxels together with all that they enclose. Openings up to two cells wide count as closed: a
    pinhole into a hollow does not make a solid a skin."""
    walls = ndimage.binary_dilation(np.pad(surface, 2))
    regions, _ = ndimage.label(~walls)
    solid = ndimage.binary_erosion(regions != regions[0, 0, 0])
    return solid[2:-2, 2:-2, 2:-2] | surface
