"""Shortcut distillation: the network learns to take long steps at once, and is told how long they are."""

import torch
from torch import Tensor, nn

from vendor_model.training.geometry_model import (
    Seen,
    Velocity,
    bound,
    geometry_batches,
    geometry_parts,
    geometry_velocity,
    seen_of,
    true_latents,
)
from vendor_model.training.objectives import (
    Latents,
    flow_matching,
    mix,
    noise_for,
    sample_times,
    shortcut_draws,
    shortcut_target,
)
from vendor_model.training.recipe import Run
from vendor_model.training.samples import embedder_inputs
from vendor_model.training.trainer import Figures

CONSISTENT = 0.25
"""Share of the samples that learn a long step from two half ones; the others stay with flow matching, told a
step of 0."""

GUIDED = 0.25
"""Share of the targets that are guided, as in the release, and then of the shape alone."""


def shortcut(run: Run) -> None:
    """From the stage that the recipe's `shortcut_from` names; afterwards 4 steps, or 1, do for 25."""
    parts, code, rng = geometry_parts(run, run.recipe.shortcut_from).train(), run.shape_code(), run.rng()
    forget_steps(parts["ss_flow"])
    phase = list(run.recipe.phases.values())[-1]
    weights = phase.weights

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        count = max(1, round(CONSISTENT * len(batch["image"])))
        inputs, seen = embedder_inputs(batch, rng), seen_of(phase, len(batch["image"]), rng)
        latents = true_latents(batch, code)

        def velocity_of(rows: slice) -> Velocity:
            chosen = {name: value[rows] for name, value in inputs.items()}
            return geometry_velocity(run, parts, chosen, Seen(*(share[rows] for share in seen)))

        plain, figures = flow_matching(
            velocity_of(slice(count, None)),
            {name: value[count:] for name, value in latents.items()},
            weights,
            sample_times(len(batch["image"]) - count, 0.0, rng),
            rng,
        )
        few = {name: value[:count] for name, value in latents.items()}
        steps, times = shortcut_draws(count, rng)
        mixed = mix(few, noise_for({name: value.shape for name, value in few.items()}, rng), times)
        velocity = velocity_of(slice(count))
        teacher = guided_velocity(run, parts, velocity, run.recipe.guidance, rng)
        target = shortcut_target(teacher, mixed, times, steps)
        predicted = velocity(mixed, times, steps)
        errors = {name: (predicted[name] - target[name]).square().mean() for name in weights}
        consistency = sum(weight * errors[name] for name, weight in weights.items())
        share = count / len(batch["image"])
        figures["shape_consistency"] = errors["shape"]
        return share * consistency + (1 - share) * plain, figures

    run.train("shortcut", parts, loss, geometry_batches(run))


def guided_velocity(run: Run, parts: nn.ModuleDict, velocity, strength: float, rng: torch.Generator):
    """velocity(x, times, told) whose shape is guided in a random share of the samples, the same at each call:
    (1 + s) · conditional − s · unconditional."""
    if not strength:
        return velocity
    flow = parts["ss_flow"]
    unconditional = bound(run, flow, flow.unconditional_context())
    chosen = None

    def guided(x: Latents, times: Tensor, told: Tensor) -> Latents:
        nonlocal chosen
        if chosen is None:
            chosen = strength * (torch.rand(len(times), 1, 1, generator=rng, device=rng.device) < GUIDED)
        found = velocity(x, times, told)
        shape = (1 + chosen) * found["shape"] - chosen * unconditional(x, times, told)["shape"]
        return found | {"shape": shape}

    return guided


@torch.no_grad()
def forget_steps(flow: nn.Module) -> None:
    """Make the network deaf to the step it is told, as at the start of a distillation: it answers every step
    as it answered 0."""
    embedder = flow.d_embedder
    last = embedder.mlp[2]
    last.bias.copy_(embedder(last.bias.new_zeros(1))[0])
    last.weight.zero_()
