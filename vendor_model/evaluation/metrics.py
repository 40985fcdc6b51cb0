"""How far a reconstruction is from the truth."""

import numpy as np
import torch

from vendor_model.layout.transforms import quaternion_to_matrix


def voxel_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two occupancy grids (R, R, R) bool; 1 for two empty ones."""
    union = (predicted | truth).sum()
    return float((predicted & truth).sum() / union) if union else 1.0


def rotation_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Angle in degrees between two rotations, quaternions (w, x, y, z)."""
    first, second = (
        quaternion_to_matrix(torch.as_tensor(q, dtype=torch.float64)) for q in (predicted, truth)
    )
    cosine = ((first.T @ second).trace() - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
