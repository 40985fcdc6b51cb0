"""Pose latents and poses: the convention `ScaleShiftInvariant` (spec geometry.md §8).

Batches of poses are tensors: rotation (B, 4) unit quaternion (w, x, y, z), translation (B, 3),
scale (B, 3) with three equal numbers; their meaning is that of `types.Pose`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from vendor_model.layout.transforms import (
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
)

# Statistics of the rotations that the model was trained on (spec §8.1).
ROTATION_6D_MEAN = (
    -0.06366084883674913,
    0.008438224692279752,
    0.00017084786438302483,
    0.0007126610473540038,
    -0.0030916726538816417,
    0.5166093753457688,
)
ROTATION_6D_STD = (
    0.6656971967514863,
    0.6787012271867754,
    0.30345010594844524,
    0.4394504420678794,
    0.39817973931717104,
    0.6176286868761914,
)


def decode_pose(
    latents: Mapping[str, Tensor],
    pointmap_scale: Tensor,
    pointmap_shift: Tensor,
    downsample_factor: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pose latents (B, 1, channels) by name to rotation (B, 4), translation (B, 3), scale (B, 3).

    pointmap_scale, pointmap_shift: (B, 3) as the point map was normalised; the scale has three equal
    numbers. downsample_factor: by which the voxels shrank (`voxels.downsample`).
    """
    rotation = matrix_to_quaternion(
        rotation_6d_to_matrix(denormalise_rotation_6d(latents["6drotation_normalized"][:, 0]))
    )
    translation = latents["translation"][:, 0] * pointmap_scale + pointmap_shift
    scale = latents["scale"][:, 0].exp() * pointmap_scale
    return rotation, translation, scale.mean(-1, keepdim=True).expand(-1, 3) * downsample_factor


def encode_pose(
    rotation: Tensor, translation: Tensor, scale: Tensor, pointmap_scale: Tensor, pointmap_shift: Tensor
) -> dict[str, Tensor]:
    """Poses to the latents that `decode_pose` reads; the inverse of it, for training.

    The convention does not use `translation_scale`; it is encoded as 0.
    """
    latents = {
        "6drotation_normalized": normalise_rotation_6d(matrix_to_rotation_6d(quaternion_to_matrix(rotation))),
        "translation": (translation - pointmap_shift) / pointmap_scale,
        "scale": (scale / pointmap_scale).log(),
        "translation_scale": torch.zeros_like(scale[:, :1]),
    }
    return {name: value.unsqueeze(1) for name, value in latents.items()}


def denormalise_rotation_6d(latent: Tensor) -> Tensor:
    """Normalised 6D rotation to two vectors, not yet orthonormal: (..., 6)."""
    mean, std = _rotation_6d_statistics(latent)
    return latent * std + mean


def normalise_rotation_6d(rotation_6d: Tensor) -> Tensor:
    """Inverse of `denormalise_rotation_6d`: (..., 6)."""
    mean, std = _rotation_6d_statistics(rotation_6d)
    return (rotation_6d - mean) / std


def _rotation_6d_statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_tensor(ROTATION_6D_MEAN), like.new_tensor(ROTATION_6D_STD)
