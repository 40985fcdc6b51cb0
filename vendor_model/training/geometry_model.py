"""The first network in training: its parts, its samples, its latents, its velocity under a condition."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vendor_model.sampling import TIME_SCALE
from vendor_model.training import distributed
from vendor_model.training.objectives import Latents
from vendor_model.training.products import fast_products
from vendor_model.training.reading import read_ahead
from vendor_model.training.recipe import Phase, Run
from vendor_model.training.samples import INPUTS, MAPS, POSE_LATENTS, distances_of, mirrored
from vendor_model.training.shape_latent import ShapeCode
from vendor_model.training.shards import Selection, Shards
from vendor_model.training.trainer import to_device

GEOMETRY_SAMPLES = (*INPUTS, *POSE_LATENTS, "distances")
"""What the stages of the geometry model read of each sample."""

ALL_SCENES = Phase(None)
"""What the stages after the phases are trained on."""

Velocity = Callable[..., Latents]
"""velocity(latents, times (B,), told step (B,) = 0) with the condition bound to it, in float32."""


def geometry_batches(run: Run, phase: Phase = ALL_SCENES) -> Iterator[dict[str, Tensor]]:
    """The phase's samples on the run's device, as stored, for ever, half of them as in a mirror; its share of
    them with the point maps that the depth model makes of their photos."""
    count = distributed.part(run.recipe.batch)
    estimated = distributed.part(round(phase.estimated * run.recipe.batch))
    sources = (run.shards(), count - estimated), (run.estimated_shards(), estimated)
    stream = partial(_stored_batches, sources, phase.selection)
    rng = run.rng()
    for batch in read_ahead(stream, run.readers, run.device):
        order = torch.randperm(count, generator=rng, device=run.device)
        mixed = {name: values[order] for name, values in to_device(batch, run.device).items()}
        yield mirrored(mixed, rng)


def _stored_batches(
    sources: Sequence[tuple[Shards, int]], selection: Selection, reader: int
) -> Iterator[dict[str, Tensor]]:
    """One reader's batches: so many samples of each source, one source after the other."""
    streams = [
        shards.read_by(reader).batches(GEOMETRY_SAMPLES, few, selection) for shards, few in sources if few
    ]
    for parts in zip(*streams, strict=True):
        yield {name: torch.cat([part[name] for part in parts]) for name in GEOMETRY_SAMPLES}


def geometry_parts(run: Run, trained_in: str | None = None) -> nn.ModuleDict:
    """Both networks of the first stage, new or as a stage left them. Raises CheckpointError."""
    parts = nn.ModuleDict({name: run.module(name) for name in ("ss_condition_embedder", "ss_flow")})
    return parts if trained_in is None else run.trained(parts, trained_in)


def voxel_decoder_of(run: Run, stage: str | None) -> nn.ModuleDict:
    """The voxel decoder, by its name, as a phase of the geometry model left it where that trains it too, else
    as the stage `voxel_decoder` did. Raises CheckpointError."""
    phase = run.recipe.phases.get(stage)
    stage_of_it = stage if phase is not None and phase.objective == "voxel_overlap" else "voxel_decoder"
    return run.trained(nn.ModuleDict({"ss_decoder": run.module("ss_decoder")}), stage_of_it)


def true_latents(batch: dict[str, Tensor], code: ShapeCode) -> Latents:
    """Shape code and pose of a batch of samples."""
    latents = {"shape": code.encode(distances_of(batch["distances"]))}
    return latents | {name: batch[name][:, None] for name in POSE_LATENTS}


class Seen(NamedTuple):
    """What the samples of a batch see, each (B, 1, 1) bool: any condition at all; the point map."""

    condition: Tensor
    point_map: Tensor


def drawn_seen(count: int, unconditional: float, without_map: float, rng: torch.Generator) -> Seen:
    """A batch of which each sample is without any condition, or without point map, by these chances."""
    hidden = (unconditional, without_map)
    draws = torch.rand(2, count, 1, 1, generator=rng, device=rng.device)
    return Seen(*(draw >= chance for draw, chance in zip(draws, hidden, strict=True)))


def seen_of(phase: Phase, count: int, rng: torch.Generator) -> Seen:
    """What the samples of a batch see of their inputs, by the phase's chances."""
    return drawn_seen(count, phase.unconditional, phase.point_map_drop, rng)


def geometry_velocity(
    run: Run, parts: nn.ModuleDict, inputs: dict[str, Tensor], seen: Seen | None = None
) -> Velocity:
    """Velocity of the flow model under the condition of `inputs`, as much of it as is seen."""
    return velocity_under(run, parts["ss_flow"], condition_tokens(run, parts, inputs, seen))


def condition_tokens(
    run: Run, parts: nn.ModuleDict, inputs: dict[str, Tensor], seen: Seen | None = None
) -> Tensor:
    """Condition tokens (B, T, cond_channels) of `inputs`; what is not seen counts as zeros."""
    embedder = parts["ss_condition_embedder"]
    with fast_products(run.device):
        tokens = {name: embedder.tokens(name, inputs[name]) for name in embedder.input_names}
        if seen is not None:
            tokens |= {name: tokens[name] * seen.point_map for name in MAPS if name in tokens}
        fused = embedder.fuse(tokens)
    return fused if seen is None else fused * seen.condition


def velocity_under(run: Run, flow: nn.Module, tokens: Tensor) -> Velocity:
    """Velocity of a flow model under condition tokens."""
    with fast_products(run.device):
        context = flow.prepare_context(tokens)
    return bound(run, flow, context)


def bound(run: Run, flow: nn.Module, context) -> Velocity:
    """The velocity of a flow model under a context, times and steps in 0..1."""

    def velocity(latents: Latents, times: Tensor, told: Tensor | None = None) -> Latents:
        told = times.new_zeros(1) if told is None else told
        with fast_products(run.device):
            predicted = flow(latents, times * TIME_SCALE, context, d=told * TIME_SCALE)
        return {name: value.float() for name, value in predicted.items()}

    return velocity
