"""Corrects a predicted shape and its pose together by what the camera sees: mask and point map.

The shape stays one that the voxel decoder knows: what is moved is its latent. Render-and-compare without a
renderer: on every line of sight the decoded voxels must be empty up to the surface that the point map shows,
and filled where that is the object's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.layout.adam import descend
from vendor_model.layout.mirror_planes import (
    REACH_WEIGHT,
    SYMMETRY_STEPS,
    EmptySpace,
    find_symmetry,
    mirrored_reach,
)
from vendor_model.layout.moved_pose import MovedPose, upright_turns
from vendor_model.layout.sight_lines import SightLines, sight_lines
from vendor_model.types import PointMap, Pose

BEYOND = 100.0
"""By how much a logit falls for each object length outside of the voxels."""


@dataclass(frozen=True)
class FitSettings:
    """lines: of sight through the object, and as many around it; samples: places along each that must be
    empty. front, behind: object lengths before a seen surface where the object must not be yet, and after it
    where it must be. starts: turns about the upright from which the pose is sought; clearly: share of the
    first one's disagreement below which another is taken. pose_steps, steps: of Adam, for the pose alone and
    then for both; pose_rate, shape_rate: their sizes. calm: weight of the latent's mean square change.
    """

    lines: int = 500
    samples: int = 12
    front: float = 0.03
    behind: float = 0.01
    starts: int = 8
    clearly: float = 0.9
    pose_steps: int = 25
    steps: int = 40
    pose_rate: float = 0.02
    shape_rate: float = 0.07
    calm: float = 0.5


class Fit(NamedTuple):
    """shape: latent (1, T, C); before, after: disagreement with the lines of sight, alike or NaN where shape
    and pose are as they were."""

    shape: Tensor
    pose: Pose
    before: float
    after: float


def fit_geometry(
    decode: Callable[[Tensor], Tensor],
    shape: Tensor,
    pose: Pose,
    point_map: PointMap,
    mask: np.ndarray,
    settings: FitSettings = FitSettings(),
    on_step: Callable[[float], None] = lambda done: None,
) -> Fit:
    """Shape latent (1, T, C) and pose, moved towards what mask (H, W) bool and point map tell.

    decode: latents (1, T, C) to logits (1, 1, R, R, R), differentiable. on_step: told how much is done, 0..1,
    before each step; what it raises ends the search. Where the point map shows nothing of the object, or
    nothing better is found, both come back as they were.

    First the pose alone is sought, from several turns of the object: were the shape free from the start, it
    would grow a handle where the wrong turn shows one. What is then seen of one side counts for the other too
    where the shape is symmetric and nothing that is seen speaks against it.
    """
    lines = sight_lines(point_map, mask, settings.lines)
    if not lines.on_object.any():
        return Fit(shape, pose, math.nan, math.nan)
    shape, rng = shape.detach().float(), torch.Generator().manual_seed(0)
    unmirrored, predicted = [torch.ones(3)], decode(shape).detach()
    points, empty = lines.seen_points, EmptySpace(point_map, mask)
    steps = settings.pose_steps + SYMMETRY_STEPS + settings.steps

    def error(logits: Tensor, posed: MovedPose, mirrors: list[Tensor] = unmirrored) -> Tensor:
        return disagreement(logits, posed, lines, mirrors, settings, rng)

    starts = MovedPose(pose, upright_turns(settings.starts))
    before = float(error(predicted, starts)[0].detach())
    descend(
        lambda: error(predicted, starts).sum(),
        [(parameter, settings.pose_rate) for parameter in starts.parameters],
        settings.pose_steps,
        lambda step: on_step(step / steps),
    )
    errors = error(predicted, starts).detach()
    best = int(errors.argmin())
    symmetry = find_symmetry(
        predicted,
        starts.pose(best if errors[best] < settings.clearly * errors[0] else 0),
        points,
        empty,
        lambda posed: error(predicted, posed),
        lambda step: on_step((settings.pose_steps + step) / steps),
    )
    posed, mirrors = MovedPose(symmetry.pose), unmirrored + symmetry.planes
    latent = shape.clone().requires_grad_()

    def loss() -> Tensor:
        reach = sum(mirrored_reach(posed, points, plane, empty).sum() for plane in symmetry.planes)
        change = (latent - shape).square().mean()
        return error(decode(latent), posed, mirrors).sum() + REACH_WEIGHT * reach + settings.calm * change

    descend(
        loss,
        [(latent, settings.shape_rate), *((moved, settings.pose_rate / 2) for moved in posed.parameters)],
        settings.steps,
        lambda step: on_step((steps - settings.steps + step) / steps),
    )
    latent = latent.detach()
    logits = decode(latent).detach()
    after = float(error(logits, posed)[0].detach())
    if after < before and (logits > 0).any():
        return Fit(latent, posed.pose(), before, after)
    return Fit(shape, pose, before, before)


def disagreement(
    logits: Tensor,
    posed: MovedPose,
    lines: SightLines,
    mirrors: list[Tensor],
    settings: FitSettings,
    rng: torch.Generator,
) -> Tensor:
    """(B,) of voxels (1, 1, R, R, R) in B poses with the lines of sight, for each line to the object.

    Softplus of the highest logit where nothing is, and of the negative one where the object is.
    """
    rotation, translation, scale = posed.parts()
    to_object = rotation.mT / scale
    origin, directions = -translation @ to_object, lines.directions @ to_object  # for each unit of depth
    with torch.no_grad():
        near, far = _inside_cube(origin, directions)
        end = torch.minimum(far, lines.depths - settings.front * scale[:, 0])
        share = torch.rand(len(lines.depths), settings.samples, generator=rng)
        share = (torch.arange(settings.samples) + share) / settings.samples
        depths = near[..., None] + (end - near).clamp(min=0)[..., None] * share
    along = origin[:, None] + directions[:, :, None] * depths[..., None]
    seen = lines.depths[lines.on_object] + settings.behind * scale[:, 0]
    filled = origin + directions[:, lines.on_object] * seen[..., None]
    total = 0.0
    for sign in mirrors:
        highest = _at(logits, along * sign).amax(-1)
        unlike = F.softplus(torch.where(lines.through, -highest, highest)) * (lines.through | (end > near))
        missing = F.softplus(-_at(logits, filled * sign))
        total = total + unlike.sum(1) + missing.sum(1)
    return total / (len(mirrors) * (lines.on_object | lines.through).sum())


def _at(logits: Tensor, places: Tensor) -> Tensor:
    """Logits (1, 1, R, R, R) at places (..., 3) of the object frame; outside of its cube they fall."""
    inside = places.clamp(-0.5, 0.5)
    grid = (2 * inside).flip(-1).view(1, 1, 1, -1, 3)
    found = F.grid_sample(logits.float(), grid, align_corners=False, padding_mode="border")
    return found.view(places.shape[:-1]) - BEYOND * (places - inside).norm(dim=-1)


def _inside_cube(origin: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Depths (B, L) at which lines enter and leave the object frame's cube; where they miss it, the first is
    the greater."""
    steep = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    walls = torch.stack([(side - origin) / steep for side in (-0.5, 0.5)])
    return walls.amin(0).amax(-1).clamp(min=1e-6), walls.amax(0).amin(-1)
