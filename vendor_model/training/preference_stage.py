"""Preference optimisation: of many shapes for one photo, the better one over the worse (DPO).

The pairs are the best and the worst of some candidates that the model, as it was before this stage, draws
for a training sample. They are ranked by voxel IoU with the truth, in place of the paper's human judges.
Only the shape is optimised, as in the paper.
"""

import torch
from torch import Tensor, nn

from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.sampling import TIME_SCALE, SamplerSettings, sample
from vendor_model.training.geometry_model import (
    Velocity,
    bound,
    geometry_batches,
    geometry_parts,
    geometry_velocity,
    voxel_decoder_of,
)
from vendor_model.training.objectives import (
    Latents,
    mix,
    noise_for,
    preference_loss,
    sample_times,
    soft_overlap,
)
from vendor_model.training.products import fast_products
from vendor_model.training.recipe import Run
from vendor_model.training.samples import distances_of, embedder_inputs
from vendor_model.training.trainer import Figures

LEAST_GAP = 0.02
"""Pairs whose overlaps with the truth differ by less say nothing, and do not count."""


def preference(run: Run) -> None:
    """From the stage that the recipe's `preferred_from` names, which also is the reference."""
    parts = geometry_parts(run, run.recipe.preferred_from).train()
    reference = geometry_parts(run, run.recipe.preferred_from).requires_grad_(False)
    [decoder] = voxel_decoder_of(run, run.recipe.preferred_from).requires_grad_(False).values()
    rng = run.rng()

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        inputs = embedder_inputs(batch, rng)
        with torch.no_grad():
            reference_velocity = geometry_velocity(run, reference, inputs)
            better, worse, gap = ranked_pair(run, reference, reference_velocity, decoder, batch, rng)
        velocity = geometry_velocity(run, parts, inputs)
        times = sample_times(len(gap), 0.0, rng)
        noise = noise_for({name: value.shape for name, value in better.items()}, rng)
        errors = []
        for latents in (better, worse):
            errors.append(shape_error(velocity, latents, noise, times))
            with torch.no_grad():
                errors.append(shape_error(reference_velocity, latents, noise, times))
        counted = (gap >= LEAST_GAP).float()
        pairs = preference_loss(*errors, run.recipe.preference_strength)
        preferred = ((errors[0] - errors[1] < errors[2] - errors[3]).float() * counted).sum()
        count = counted.sum().clamp(min=1)
        figures = {"preferred": (preferred / count), "gap": gap.mean()}
        return (pairs * counted).sum() / count, figures

    run.train("preference", parts, loss, geometry_batches(run))


def ranked_pair(
    run: Run,
    parts: nn.ModuleDict,
    velocity: Velocity,
    decoder: nn.Module,
    batch: dict[str, Tensor],
    rng: torch.Generator,
) -> tuple[Latents, Latents, Tensor]:
    """Best and worst of the recipe's number of candidates for each sample, and by how much their voxel IoU
    differs (B,)."""
    recipe, flow = run.recipe, parts["ss_flow"]
    distances = distances_of(batch["distances"])
    truth = (distances < 0.5 / distances.shape[1]).float()
    unconditional = bound(run, flow, flow.unconditional_context())
    settings = SamplerSettings(recipe.candidate_steps, 1.0, recipe.guidance)
    candidates, scores = [], []
    for _ in range(recipe.candidates):
        drawn = sample(
            lambda x, time: velocity(x, time / TIME_SCALE),
            lambda x, time: unconditional(x, time / TIME_SCALE),
            noise_for(flow.latent_shapes(len(truth)), rng),
            settings,
        )
        with fast_products(run.device):
            solid = decoder(tokens_to_grid(drawn["shape"]))[:, 0] > 0
        candidates.append(drawn)
        scores.append(soft_overlap(solid.float(), truth))
    scores, rows = torch.stack(scores), torch.arange(len(truth), device=truth.device)
    stacked = {name: torch.stack([drawn[name] for drawn in candidates]) for name in candidates[0]}
    best, worst = scores.max(0), scores.min(0)
    better = {name: values[best.indices, rows] for name, values in stacked.items()}
    worse = {name: values[worst.indices, rows] for name, values in stacked.items()}
    return better, worse, best.values - worst.values


def shape_error(velocity: Velocity, latents: Latents, noise: Latents, times: Tensor) -> Tensor:
    """Mean squared error (B,) of the shape's velocity."""
    predicted = velocity(mix(latents, noise, times), times)["shape"]
    return (predicted - (latents["shape"] - noise["shape"])).square().mean((1, 2))
