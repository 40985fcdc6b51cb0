"""The shape of splats as one matrix each."""

import numpy as np
import torch

from vendor_model.layout.transforms import quaternion_to_matrix
from vendor_model.types import Gaussians


def covariances(gaussians: Gaussians) -> np.ndarray:
    """R diag(s²) Rᵀ, (N, 3, 3), of the splats' rotations, of any length, and standard deviations."""
    axes = quaternion_to_matrix(torch.from_numpy(gaussians.rotations))
    axes = axes * torch.from_numpy(gaussians.scales).unsqueeze(-2)
    return (axes @ axes.mT).numpy()
