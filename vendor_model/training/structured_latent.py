"""The structured latent that mini's texture model learns to predict: what each surface voxel looks like.

Eight numbers a voxel, read off the object itself: distance to the surface in voxels, surface normal,
albedo at the nearest surface point, and the spread of distances around the voxel (curvature). They stand
in for the encoder of the paper's structured-latent VAE; the decoders are the specified ones.
"""

import numpy as np
import torch
from torch import Tensor

from vendor_model.training.objects import ObjectShape
from vendor_model.voxels import prune

CHANNELS = 8


def occupied_voxels(distances: np.ndarray) -> np.ndarray:
    """(R, R, R) signed distances -> bool occupancy, thickened by half a voxel so that thin parts survive."""
    return distances < 0.5 / distances.shape[0]


def shell_coords(occupancy: np.ndarray, distance: int) -> Tensor:
    """Occupied voxels that are not interior: (N, 4) int32 rows (0, x, y, z), as the pipeline prunes them."""
    cells = torch.from_numpy(np.argwhere(occupancy).astype(np.int32))
    coords = torch.cat([torch.zeros(len(cells), 1, dtype=torch.int32), cells], dim=1)
    return prune(coords, distance) if distance else coords


def surface_normals(shape: ObjectShape, points: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """Unit gradients (N, 3) of the object's distance at points (N, 3), by central differences."""
    offsets = np.eye(3, dtype=np.float32) * step
    gradient = np.stack([shape.distance(points + o) - shape.distance(points - o) for o in offsets], axis=1)
    return (gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-6)).astype(np.float32)


def on_surface(shape: ObjectShape, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) moved along the normal onto the nearest surface."""
    return points - shape.distance(points)[:, None] * surface_normals(shape, points)


def features(shape: ObjectShape, coords: Tensor, resolution: int) -> np.ndarray:
    """Structured latent of the voxels: coords (N, 4) -> (N, 8) float32, not normalised."""
    centers = ((coords[:, 1:].numpy() + 0.5) / resolution - 0.5).astype(np.float32)
    distances = shape.distance(centers)
    normals = surface_normals(shape, centers)
    albedo = shape.albedo((centers - distances[:, None] * normals).astype(np.float32))
    reach = 1.0 / resolution
    around = np.stack(
        [shape.distance(centers + o) for o in np.vstack([np.eye(3), -np.eye(3)]).astype(np.float32) * reach]
    )
    curvature = (around.mean(0) - distances) * resolution
    latent = [np.clip(distances * resolution, -2, 2)[:, None], normals, albedo * 2 - 1, curvature[:, None]]
    return np.concatenate(latent, axis=1).astype(np.float32)
