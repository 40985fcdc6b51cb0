"""The stages of the first network, phase by phase of the recipe, each with its objective."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.errors import UserError
from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.training.geometry_model import (
    condition_tokens,
    geometry_batches,
    geometry_parts,
    geometry_velocity,
    seen_of,
    true_latents,
    velocity_under,
    voxel_decoder_of,
)
from vendor_model.training.objectives import (
    flow_matching,
    noise_for,
    sample_times,
    soft_overlap,
    velocity_loss,
)
from vendor_model.training.products import fast_products
from vendor_model.training.recipe import Phase, Run
from vendor_model.training.samples import distances_of, embedder_inputs
from vendor_model.training.shape_latent import TRUNCATION, ShapeCode, disturbed
from vendor_model.training.trainer import Figures, Loss

NOISY = 0.25
"""Share of the samples of `regression` that begin at noise."""

Batch = dict[str, Tensor]


def geometry(run: Run, stage: str) -> None:
    """A phase of the recipe, from the weights of the one that it starts from."""
    phase = run.recipe.phases.get(stage)
    if phase is None:
        raise UserError(
            f"The stage {stage!r} is not part of this recipe: its phases are {', '.join(run.recipe.phases)}."
        )
    parts = geometry_parts(run, phase.start)
    if phase.objective == "voxel_overlap":
        parts.update(voxel_decoder_of(run, phase.start))
    rng = run.rng()
    loss = OBJECTIVES[phase.objective](run, phase, parts, rng)
    run.train(stage, parts.train(), loss, geometry_batches(run, phase), alike=rng)


def regression(run: Run, phase: Phase, parts: nn.ModuleDict, rng: torch.Generator) -> Loss:
    """The velocity at time 0, for most samples from nothing in place of noise: regression of the latents, and
    of the solid that they stand for.

    Behind noise a small model finds the photo late: 300 steps of `voxel_overlap` on new weights left the
    shape's error at 0.94, with nothing in place of noise, and without voxels, it was 0.746. By Muon's longer
    steps it was 0.729; then, with noise for NOISY of the samples, 0.728 for the others and 0.85 for these, so
    that one step from noise can be taken at any time.
    """
    code = run.shape_code()

    def loss(batch: Batch) -> tuple[Tensor, Figures]:
        latents = true_latents(batch, code)
        count = len(latents["shape"])
        noisy = torch.rand(count, 1, 1, generator=rng, device=rng.device) < NOISY
        noise = noise_for({name: value.shape for name, value in latents.items()}, rng)
        noise = {name: noisy * value for name, value in noise.items()}
        start = torch.zeros(count, device=rng.device)
        inputs = embedder_inputs(batch, rng)
        velocity = geometry_velocity(run, parts, inputs, seen_of(phase, count, rng))(noise, start)
        error, figures = velocity_loss(velocity, latents, noise, phase.weights)
        overlap = code_overlap(code, noise["shape"] + velocity["shape"], batch)
        return error + 1 - overlap, figures | {"code_overlap": overlap}

    return loss


def code_overlap(code: ShapeCode, tokens: Tensor, batch: Batch) -> Tensor:
    """Mean soft overlap with the truth of the solids that shape codes (B, T, C) stand for.

    What counts in the end, next to free: the code is linear, at 1/460 of the operations of mini's voxel
    decoder. Squared errors alone leave empty what a photo leaves unsure, as the mean of thin parts here and
    there is none.
    """
    distances = code.decode(tokens) * TRUNCATION
    cell = 1 / distances.shape[-1]
    chances = torch.sigmoid((0.5 * cell - distances) / (0.25 * cell))
    return soft_overlap(chances, (distances_of(batch["distances"]) < 0.5 * cell).float()).mean()


def matched_flow(run: Run, phase: Phase, parts: nn.ModuleDict, rng: torch.Generator) -> Loss:
    """Conditional flow matching, as in the paper."""
    code = run.shape_code()

    def loss(batch: Batch) -> tuple[Tensor, Figures]:
        count = len(batch["image"])
        inputs = embedder_inputs(batch, rng)
        velocity = geometry_velocity(run, parts, inputs, seen_of(phase, count, rng))
        times = sample_times(count, 0.0, rng)
        return flow_matching(velocity, true_latents(batch, code), phase.weights, times, rng)

    return loss


def voxel_overlap(run: Run, phase: Phase, parts: nn.ModuleDict, rng: torch.Generator) -> Loss:
    """Geometry model and voxel decoder together, for what counts: the overlap of their voxels with the truth.

    One step from pure noise is compared with the truth: all of a batch as the code that it is, a sixteenth
    also through the voxel decoder, which costs many times as much. A quarter learns flow matching at other
    times beside it, so that more steps work; the decoder also sees a sixteenth of true codes.
    """
    code = run.shape_code()

    def loss(batch: Batch) -> tuple[Tensor, Figures]:
        count = len(batch["distances"])
        few, decoded = count // 4, math.ceil(count / 16)
        flow, latents = parts["ss_flow"], true_latents(batch, code)
        noise = noise_for({name: value.shape for name, value in latents.items()}, rng)
        tokens = condition_tokens(run, parts, embedder_inputs(batch, rng), seen_of(phase, count, rng))
        start = torch.zeros(count, device=rng.device)
        predicted = velocity_under(run, flow, tokens)(noise, start)
        from_noise, errors = velocity_loss(predicted, latents, noise, phase.weights)
        later, figures = flow_matching(
            velocity_under(run, flow, tokens[:few]),
            {name: value[:few] for name, value in latents.items()},
            phase.weights,
            sample_times(few, 0.0, rng),
            rng,
        )
        figures |= {f"{name}_at_noise": error for name, error in errors.items()}
        made = noise["shape"] + predicted["shape"]
        overlap = code_overlap(code, made, batch)
        codes = torch.cat([made[:decoded], disturbed(latents["shape"][decoded : 2 * decoded], rng)])
        with fast_products(run.device):
            logits = parts["ss_decoder"](tokens_to_grid(codes))[:, 0].float()
        target = (distances_of(batch["distances"])[: len(logits)] < 0.5 / logits.shape[-1]).float()
        hard = soft_overlap((logits > 0).float(), target)
        figures["code_overlap"] = overlap
        figures["voxel_iou_seen"] = hard[:decoded].mean()
        figures["voxel_iou"] = hard[decoded:].mean()
        unlike = F.binary_cross_entropy_with_logits(logits, target)
        outside = (1 - soft_overlap(logits.sigmoid(), target)).mean()
        return from_noise / 2 + later / 4 + 1 - overlap + unlike + outside, figures

    return loss


OBJECTIVES: dict[str, Callable[[Run, Phase, nn.ModuleDict, torch.Generator], Loss]] = {
    "regression": regression,
    "flow_matching": matched_flow,
    "voxel_overlap": voxel_overlap,
}
