"""The splats of several objects as one scene (spec layout.md §3.1).

A scene for a splat viewer is `turn_z_up(normalize_scene(make_scene(...)))`.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from vendor_model.layout.frames import CAMERA_TO_Z_UP, camera_from_object
from vendor_model.layout.transforms import matrix_to_quaternion, quaternion_conjugate, quaternion_multiply
from vendor_model.types import Gaussians, Pose

SOLID_OPACITY = 0.9
SMALLEST_SCALE = 1.1
"""In standard deviations of the kernel, which a splat must exceed."""


def make_scene(objects: Iterable[tuple[Gaussians, Pose]]) -> Gaussians:
    """All objects' splats in the camera frame, with the smallest of their kernels.

    Each object's splats come in its object frame.
    """
    placed = [place_gaussians(gaussians, pose) for gaussians, pose in objects]
    kernel = min(gaussians.kernel for gaussians in placed)
    scales = [np.sqrt(gaussians.scales**2 - gaussians.kernel**2 + kernel**2) for gaussians in placed]
    return Gaussians(
        positions=np.concatenate([gaussians.positions for gaussians in placed]),
        scales=np.concatenate(scales),
        rotations=np.concatenate([gaussians.rotations for gaussians in placed]),
        opacities=np.concatenate([gaussians.opacities for gaussians in placed]),
        colors_dc=np.concatenate([gaussians.colors_dc for gaussians in placed]),
        kernel=kernel,
    )


def place_gaussians(gaussians: Gaussians, pose: Pose) -> Gaussians:
    """One object's splats, moved from its object frame to the camera frame; rotations become unit length."""
    size = float(np.mean(pose.scale))
    kernel = gaussians.kernel * size
    turn = quaternion_conjugate(torch.as_tensor(pose.rotation, dtype=torch.float32))
    return replace(
        gaussians,
        positions=camera_from_object(gaussians.positions, pose),
        scales=np.maximum(gaussians.scales * np.float32(size), np.float32(SMALLEST_SCALE * kernel)),
        rotations=_turned(gaussians.rotations, turn),
        kernel=kernel,
    )


def normalize_scene(scene: Gaussians) -> Gaussians:
    """The scene about the centre of its solid splats (opacity over 0.9), their largest extent being 1."""
    solid = scene.positions[scene.opacities > SOLID_OPACITY]
    if not len(solid):
        solid = scene.positions
    low, high = solid.min(0), solid.max(0)
    extent = (high - low).max()
    return replace(
        scene,
        positions=(scene.positions - (low + high) / 2) / extent,
        scales=scene.scales / extent,
        kernel=float(scene.kernel / extent),
    )


def turn_z_up(scene: Gaussians) -> Gaussians:
    """A scene of the camera frame in the world whose camera looks along +y with z up."""
    turn = matrix_to_quaternion(torch.from_numpy(CAMERA_TO_Z_UP.T).float())
    return replace(
        scene,
        positions=scene.positions @ CAMERA_TO_Z_UP.astype(np.float32),
        rotations=_turned(scene.rotations, turn),
    )


def unit_rotations(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) of any length, as decoded, to unit length."""
    return rotations / np.linalg.norm(rotations, axis=-1, keepdims=True)


def _turned(rotations: np.ndarray, turn: torch.Tensor) -> np.ndarray:
    """Unit quaternions (N, 4) of splats that are turned by a quaternion (4,)."""
    return quaternion_multiply(turn / turn.norm(), torch.from_numpy(unit_rotations(rotations))).numpy()
