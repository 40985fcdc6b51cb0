"""How far a reconstruction is from the truth: the measures of the paper's appendix D.3.

Where a function takes `accuracy` and `completeness`, these are distances (N,) from points of the prediction
to the true surface and (M,) from points of the truth to the predicted one, in one unit of length. The paper
gives shapes in units of half the longest side of their bounding box (`registration.unit_box`).
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist, pdist

from vendor_model.layout.transforms import quaternion_to_matrix


def f1_score(accuracy: np.ndarray, completeness: np.ndarray, threshold: float) -> float:
    """Harmonic mean of the shares of both sides' points that are nearer than the threshold; 0..1."""
    precision, recall = (accuracy < threshold).mean(), (completeness < threshold).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def chamfer_distance(accuracy: np.ndarray, completeness: np.ndarray) -> float:
    """Mean of both directions' mean distances, in their unit. The paper does not say whether it squares or
    sums them; neither is done here."""
    return float((accuracy.mean() + completeness.mean()) / 2)


def earth_movers_distance(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean way of the cheapest one-to-one assignment of two equally large point sets (N, 3), in their unit.

    Solved exactly; two samples of the same surface already differ by about the distance of their points.
    """
    costs = cdist(predicted, truth)
    return float(costs[linear_sum_assignment(costs)].mean())


def voxel_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two boolean arrays of one shape; 1 for two empty ones."""
    union = (predicted | truth).sum()
    return float((predicted & truth).sum() / union) if union else 1.0


def box_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """3D IoU: intersection over union of the axis-aligned bounding boxes of points (N, 3) and (M, 3); 0 where
    both are flat."""
    low = np.maximum(predicted.min(0), truth.min(0))
    high = np.minimum(predicted.max(0), truth.max(0))
    shared = np.prod((high - low).clip(min=0))
    union = np.ptp(predicted, axis=0).prod() + np.ptp(truth, axis=0).prod() - shared
    return float(shared / union) if union else 0.0


def add_s(accuracy: np.ndarray, completeness: np.ndarray, diameter: float) -> float:
    """ADD-S: the mean of both directions' mean distances in units of the true object's diameter."""
    return chamfer_distance(accuracy, completeness) / diameter


def diameter(points: np.ndarray) -> float:
    """Largest distance between two of the points (N, 3)."""
    joggled = ConvexHull(points, qhull_options="QJ")  # else points in one plane have no hull
    return float(pdist(points[joggled.vertices]).max())


def rotation_angle(rotation: np.ndarray) -> float:
    """Angle in degrees, 0..180, of a rotation matrix (3, 3); ICP-Rot, for the rotation that ICP adds."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def rotation_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Angle in degrees between two rotations, quaternions (w, x, y, z)."""
    first, second = (
        quaternion_to_matrix(torch.as_tensor(q, dtype=torch.float64)).numpy() for q in (predicted, truth)
    )
    return rotation_angle(first.T @ second)
