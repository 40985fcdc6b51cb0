"""One pose for objects that look the same from several sides.

A turn that leaves a shape as it is cannot be read off a photo; a network that is asked for it learns
their average, which is none of them. Among the equal poses the one whose front (-y) faces the camera
most is the one to learn.
"""

import math
from dataclasses import replace

import numpy as np
import torch

from vendor_model.layout.transforms import matrix_to_quaternion, quaternion_to_matrix
from vendor_model.training.objects import ObjectShape
from vendor_model.types import Pose

SAME = 0.97
"""Overlap of a solid with its turned self from which on the two count as equal."""


def turns(shape: ObjectShape, distances: np.ndarray) -> int:
    """How many turns about z keep the shape: 1, 2 or 4; 0 for any turn at all."""
    if shape.symmetry in ("axis", "full"):
        return 0
    solid = distances < 0
    for count in (4, 2):
        turned = np.rot90(solid, k=4 // count, axes=(0, 1))
        if (solid & turned).sum() >= SAME * (solid | turned).sum():
            return count
    return 1


def about_z(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def canonical_pose(shape: ObjectShape, pose: Pose, distances: np.ndarray) -> Pose:
    """The pose, of those that look alike, whose object faces the camera most."""
    # column form of the pose: p_camera = s * rotation @ p_object + t
    rotation = quaternion_to_matrix(torch.as_tensor(pose.rotation)).numpy().T
    if shape.symmetry == "full":
        rotation = np.eye(3)[[0, 2, 1]] * np.array([[-1.0], [1.0], [1.0]])  # z up, front toward the viewer
    to_camera = -rotation.T @ np.asarray(pose.translation)
    facing = math.atan2(to_camera[1], to_camera[0]) + math.pi / 2
    count = turns(shape, distances)
    angle = facing if count == 0 else round(facing / (2 * math.pi / count)) * (2 * math.pi / count)
    turned = torch.from_numpy((rotation @ about_z(angle)).T.copy())
    return replace(pose, rotation=matrix_to_quaternion(turned).numpy())
