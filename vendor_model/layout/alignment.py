"""Moves a mesh onto the points that a point map shows of it: by height and centre, then by ICP.

Points are (N, 3), camera frame; transforms are (4, 4) float64 for row vectors, [p, 1] @ matrix.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

FARTHEST_SHARE = 0.1
DEPTH_EDGE = 0.03
MAX_ITERATIONS = 30
CONVERGED = 1e-6


def reliable_pixels(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The pixels (H, W) bool of a mask where the point map (H, W, 3) is finite and not at a jump in depth:
    a 3x3 neighbourhood inside the mask whose depths differ by over 3 % (spec layout.md §5.5)."""
    mask = mask & np.isfinite(points).all(-1)
    depth = points[..., 2]
    highest = ndimage.maximum_filter(np.where(mask, depth, -np.inf), size=3, mode="nearest")
    lowest = ndimage.minimum_filter(np.where(mask, depth, np.inf), size=3, mode="nearest")
    smooth = np.zeros_like(mask)
    smooth[mask] = highest[mask] - lowest[mask] <= DEPTH_EDGE * depth[mask]
    return smooth


def drop_farthest(points: np.ndarray) -> np.ndarray:
    """Points (N, 3) without the tenth that is farthest in depth, which often lies on the background.
    A NaN depth among them leaves none."""
    if not len(points):
        return points
    return points[points[:, 2] <= np.quantile(points[:, 2], 1 - FARTHEST_SHARE)]


def align_to_points(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The transform that gives source points the height (extent in y) and then the mean of the target."""
    scale = np.ptp(target[:, 1]) / np.ptp(source[:, 1])
    transform = np.eye(4)
    transform[:3, :3] *= scale
    transform[3, :3] = target.mean(0) - source.mean(0) * scale
    return transform


class Registration(NamedTuple):
    """transform: (4, 4) for rows; fitness: share of source points with a partner; inlier_rmse: their root
    mean square distance; partners: their number."""

    transform: np.ndarray
    fitness: float
    inlier_rmse: float
    partners: int


def iterative_closest_points(source: np.ndarray, target: np.ndarray, max_distance: float) -> Registration:
    """Rigid point-to-point ICP from the identity (spec layout.md §5.5).

    Each source point's partner is the nearest target point within max_distance; up to 30 fits, until
    fitness and error both change by less than 1e-6.
    """
    tree = cKDTree(target.astype(np.float64))
    source = source.astype(np.float64)
    transform = np.eye(4)
    paired, partner, result = _pair(tree, source, max_distance)
    for _ in range(MAX_ITERATIONS):
        if not paired.any():
            break
        step = _rigid_fit(source[paired], tree.data[partner])
        transform = transform @ step
        source = source @ step[:3, :3] + step[3, :3]
        before = result
        paired, partner, result = _pair(tree, source, max_distance)
        if np.abs(np.subtract(result, before)).max() < CONVERGED:
            break
    return Registration(transform, *result, int(np.count_nonzero(paired)))


def _pair(tree: cKDTree, source: np.ndarray, max_distance: float):
    """Which source points (N,) have partners, the partners' numbers, and (fitness, root mean square)."""
    distance, partner = tree.query(source, distance_upper_bound=max_distance)
    paired = np.isfinite(distance)
    error = np.sqrt(np.mean(distance[paired] ** 2)) if paired.any() else 0.0
    return paired, partner[paired], (np.count_nonzero(paired) / len(source), float(error))


def _rigid_fit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation and translation, as a row transform, that bring source to target in least squares."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    left, _, right = np.linalg.svd((source - source_mean).T @ (target - target_mean))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    transform = np.eye(4)
    transform[:3, :3] = left @ right
    transform[3, :3] = target_mean - source_mean @ transform[:3, :3]
    return transform
