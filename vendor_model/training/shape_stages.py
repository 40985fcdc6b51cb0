"""The stages of the shape latent: its code, and the decoder that makes voxels of it."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.training import shape_latent
from vendor_model.training.geometry_stages import (
    condition_tokens,
    geometry_batches,
    geometry_parts,
    geometry_velocity,
    true_latents,
    velocity_under,
)
from vendor_model.training.objectives import (
    flow_matching,
    noise_for,
    sample_times,
    soft_overlap,
    velocity_loss,
)
from vendor_model.training.objects import distance_grid, make_object
from vendor_model.training.recipe import Run
from vendor_model.training.samples import SampleSizes, distances_of, embedder_inputs
from vendor_model.training.trainer import load_average


def shape_code(run: Run) -> None:
    """Principal components of the distance patches of some thousand objects."""
    run.runs.mkdir(parents=True, exist_ok=True)
    channels = run.module("ss_decoder").input_layer.in_channels
    grids = next(distance_grids(run.recipe.train_seed, SampleSizes.voxels, 3000))
    shape_latent.fit(grids, run.recipe.patch, channels).save(run.runs / "shape_code.npz")


def distance_grids(seed: int, resolution: int, batch: int) -> Iterator[Tensor]:
    """Signed distances (batch, R, R, R) of new random objects, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        yield torch.from_numpy(np.stack([distance_grid(make_object(rng), resolution) for _ in range(batch)]))


def voxel_decoder(run: Run) -> None:
    """Shape codes, disturbed as a flow model would, to occupancy logits."""
    model, code, rng = run.module("ss_decoder"), run.shape_code(), run.rng()

    def loss(distances: Tensor) -> tuple[Tensor, dict[str, float]]:
        target = distances < 0.5 / distances.shape[1]
        tokens = disturbed(code.encode(distances), rng)
        with run.half_precision():
            logits = model(tokens_to_grid(tokens))[:, 0].float()
        hard = soft_overlap((logits > 0).float(), target.float())
        return F.binary_cross_entropy_with_logits(logits, target.float()), {"voxel_iou": hard.mean().item()}

    grids = distance_grids(run.own_seed(run.recipe.train_seed + 2000), SampleSizes.voxels, 16)
    run.train("voxel_decoder", model, loss, grids)


def trained_decoder(run: Run) -> nn.ModuleDict:
    """The voxel decoder as `voxel_decoder` left it, by its name."""
    return nn.ModuleDict({"ss_decoder": load_average(run.module("ss_decoder"), run.runs / "voxel_decoder")})


def voxel_tuning(run: Run) -> None:
    """The voxel decoder again, half of the time on codes that the geometry model makes of photos.

    Where a photo leaves a thin part unsure the predicted code is a mean, which a decoder of true codes leaves
    empty. The overlap with the truth, which is what counts, wants it filled as far as that pays.
    """
    tuned = trained_decoder(run)
    parts = geometry_parts(run, run.recipe.finished).requires_grad_(False)
    flow = parts["ss_flow"]
    code, rng = run.shape_code(), run.rng()

    def predicted_codes(batch: dict[str, Tensor]) -> Tensor:
        count = len(batch["distances"])
        noise = noise_for(flow.latent_shapes(count), rng)
        with torch.no_grad():
            velocity = geometry_velocity(run, parts, embedder_inputs(batch, rng))
            return noise["shape"] + velocity(noise, noise["shape"].new_zeros(count))["shape"]

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        distances = distances_of(batch["distances"])
        target = (distances < 0.5 / distances.shape[1]).float()
        half = len(distances) // 2
        seen = predicted_codes({name: values[:half] for name, values in batch.items()})
        tokens = torch.cat([seen, disturbed(code.encode(distances[half:]), rng)])
        with run.half_precision():
            logits = tuned["ss_decoder"](tokens_to_grid(tokens))[:, 0].float()
        overlap = soft_overlap(logits.sigmoid(), target)
        hard = soft_overlap((logits > 0).float(), target)
        figures = {"voxel_iou_seen": hard[:half].mean().item(), "voxel_iou": hard[half:].mean().item()}
        return F.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean(), figures

    run.train("voxel_tuning", tuned.train(), loss, geometry_batches(run))


def overlap(run: Run) -> None:
    """Geometry model and voxel decoder together, for what counts: the overlap of their voxels with the truth.

    One step from pure noise is decoded and compared, and its gradient reaches back to the photo. Flow
    matching at other times goes on beside it for a quarter of a batch, so that more steps keep working, and
    so do true codes. Half of a batch is decoded: that costs as much as all the rest.
    """
    last = next(reversed(run.recipe.phases))
    parts = geometry_parts(run, last)
    parts.update(trained_decoder(run))
    weights, code, rng = run.recipe.phases[last].weights, run.shape_code(), run.rng()

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        count = len(batch["distances"])
        few = count // 4
        flow, latents = parts["ss_flow"], true_latents(batch, code)
        noise = noise_for({name: value.shape for name, value in latents.items()}, rng)
        tokens = condition_tokens(run, parts, embedder_inputs(batch, rng))
        start = torch.zeros(count, device=rng.device)
        predicted = velocity_under(run, flow, tokens)(noise, start)
        from_noise, figures = velocity_loss(predicted, latents, noise, weights, start)
        later, at_times = flow_matching(
            velocity_under(run, flow, tokens[:few]),
            {name: value[:few] for name, value in latents.items()},
            weights,
            sample_times(few, 0.0, rng),
            rng,
        )
        figures |= at_times
        made = (noise["shape"] + predicted["shape"])[: count // 2]
        known = disturbed(latents["shape"][count // 2 : count * 5 // 8], rng)
        with run.half_precision():
            logits = parts["ss_decoder"](tokens_to_grid(torch.cat([made, known])))[:, 0].float()
        target = distances_of(batch["distances"])[: len(logits)] < 0.5 / logits.shape[-1]
        target, hard = target.float(), soft_overlap((logits > 0).float(), target.float())
        figures["voxel_iou_seen"] = hard[: len(made)].mean().item()
        figures["voxel_iou"] = hard[len(made) :].mean().item()
        unlike = F.binary_cross_entropy_with_logits(logits, target)
        outside = (1 - soft_overlap(logits.sigmoid(), target)).mean()
        return from_noise / 2 + later / 4 + unlike + outside, figures

    run.train("overlap", parts.train(), loss, geometry_batches(run))


def disturbed(tokens: Tensor, rng: torch.Generator) -> Tensor:
    """Codes (B, T, C) with up to 0.4 deviations of noise each, as a flow model errs."""
    amount = 0.4 * torch.rand(len(tokens), 1, 1, generator=rng, device=rng.device)
    return tokens + amount * torch.randn(tokens.shape, generator=rng, device=rng.device)
