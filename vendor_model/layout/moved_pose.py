"""Poses that gradient descent can correct."""

import math

import numpy as np
import torch
from torch import Tensor

from vendor_model.layout.transforms import matrix_to_quaternion, quaternion_to_matrix, rotation_6d_to_matrix
from vendor_model.types import Pose


def upright_turns(count: int) -> Tensor:
    """(count, 3, 3) turns about the object's z, evenly spread, none first; for rows."""
    angle = torch.arange(count) * (2 * math.pi / count)
    turns = torch.eye(3).repeat(count, 1, 1)
    turns[:, 0, 0] = turns[:, 1, 1] = angle.cos()
    turns[:, 0, 1], turns[:, 1, 0] = angle.sin(), -angle.sin()
    return turns


class MovedPose:
    """B poses: one pose after each of B turns (B, 3, 3) of the object.

    parameters: what is corrected, in units of the object; `render_compare.Correction` moves one placed
    mesh, in those of the camera.
    """

    def __init__(self, pose: Pose, turns: Tensor | None = None):
        rotation, translation, scale = (torch.from_numpy(np.asarray(v)).float() for v in vars(pose).values())
        turns = upright_turns(1) if turns is None else turns
        self.rotation, self.translation = turns @ quaternion_to_matrix(rotation), translation
        self.scale = scale.mean()
        self.turn = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(len(turns), 1).requires_grad_()
        self.shift = torch.zeros(len(turns), 3, requires_grad=True)
        self.growth = torch.zeros(len(turns), requires_grad=True)
        self.parameters = [self.turn, self.shift, self.growth]

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """rotation (B, 3, 3) for rows, translation (B, 1, 3), scale (B, 1, 1)."""
        return (
            self.rotation @ rotation_6d_to_matrix(self.turn),
            (self.translation + self.shift * self.scale)[:, None],
            (self.scale * self.growth.exp())[:, None, None],
        )

    @torch.no_grad()
    def pose(self, number: int = 0) -> Pose:
        rotation, translation, scale = (value[number].double() for value in self.parts())
        return Pose(matrix_to_quaternion(rotation).numpy(), translation[0].numpy(), np.full(3, float(scale)))
