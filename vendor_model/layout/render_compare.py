"""Corrects a placed mesh until its soft silhouette covers the mask (spec layout.md §5.5, step 3)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.layout.adam import Adam
from vendor_model.layout.silhouette import intersection_over_union, soft_silhouette, visible_points
from vendor_model.layout.transforms import compose, quaternion_to_matrix

STEPS_WITHOUT_ROTATION, FIRST_LEARNING_RATE = 5, 1e-2
STEPS, LEARNING_RATE = 25, 5e-3
CONVERGED = 1e-5


@dataclass(frozen=True)
class Outline:
    """What the silhouette shall become.

    mask: (H, W) float in 0..1; intrinsics: (3, 3) float in pixels of the mask.
    """

    mask: Tensor
    intrinsics: Tensor

    def render(self, vertices: Tensor, faces: Tensor) -> Tensor:
        """Soft silhouette (H, W) of camera-frame vertices (V, 3)."""
        return soft_silhouette(vertices, faces, self.intrinsics, tuple(self.mask.shape))

    def visible_points(self, vertices: Tensor, faces: Tensor) -> Tensor:
        """The surface points (N, 3) that the mask's pixels would show of the mesh."""
        return visible_points(vertices, faces, self.intrinsics, tuple(self.mask.shape))

    def iou(self, vertices: Tensor, faces: Tensor) -> float:
        """Overlap of mask and silhouette, both cut at one half."""
        with torch.no_grad():
            return intersection_over_union(self.render(vertices, faces) > 0.5, self.mask > 0.5)


def resize_mask(mask: Tensor, min_size: int) -> Tensor:
    """Scales a mask (H, W) so that the shorter side has min_size pixels; bilinear, the sampling step being
    exactly the ratio and the size rounded down (spec layout.md §5.3)."""
    factor = min_size / min(mask.shape)
    return F.interpolate(mask[None, None], scale_factor=factor, mode="bilinear", align_corners=False)[0, 0]


@dataclass
class Correction:
    """A turn, shift and size change about a centre (3,), all of them differentiable.

    rotation: (4,) quaternion of any norm, turning columns as usual; translation: (3,); scale: ().
    """

    centre: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor

    @classmethod
    def none(cls, centre: Tensor) -> "Correction":
        rotation = centre.new_tensor([1, 0, 0, 0])
        parameters = rotation, torch.zeros_like(centre), centre.new_ones(())
        return cls(centre, *(parameter.requires_grad_() for parameter in parameters))

    def matrix(self) -> Tensor:
        """The (4, 4) row transform."""
        linear = quaternion_to_matrix(self.rotation).T
        moved_centre = self.centre + self.translation - self.scale * self.centre @ linear
        return compose(linear, moved_centre, self.scale.expand(3))

    def apply(self, vertices: Tensor) -> Tensor:
        turned = ((vertices - self.centre) * self.scale) @ quaternion_to_matrix(self.rotation).T
        return turned + self.centre + self.translation


def comparison_loss(correction: Correction, vertices: Tensor, faces: Tensor, outline: Outline) -> Tensor:
    """How far the corrected silhouette is from the mask, and the correction from none."""
    alpha = outline.render(correction.apply(vertices), faces)
    rotation = F.normalize(correction.rotation, dim=0)
    return (
        200 * F.mse_loss(alpha, outline.mask)
        + 0.1 * F.mse_loss(rotation, rotation.new_tensor([1, 0, 0, 0]))
        + 0.05 * correction.translation.square().sum()
        + 0.05 * (correction.scale - 1).square()
    )


@torch.enable_grad()
def fit_outline(vertices: Tensor, faces: Tensor, outline: Outline, centre: Tensor) -> Correction:
    """Adam on the comparison loss: translation and scale first, then the rotation with them."""
    correction = Correction.none(centre)
    shift_and_size = [correction.translation, correction.scale]
    previous = None
    for parameters, rate, steps in (
        (shift_and_size, FIRST_LEARNING_RATE, STEPS_WITHOUT_ROTATION),
        ([correction.rotation, *shift_and_size], LEARNING_RATE, STEPS),
    ):
        optimizer = Adam([(parameter, rate) for parameter in parameters])
        for _ in range(steps):
            loss = comparison_loss(correction, vertices, faces, outline)
            optimizer.step(loss)
            if previous is not None and abs(loss.item() - previous) < CONVERGED:
                break
            previous = loss.item()
    return correction
