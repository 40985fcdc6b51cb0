"""The stages of the shape latent: its code, and the decoder that makes voxels of it."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.pipeline import geometry_sampler
from vendor_model.sampling import TIME_SCALE, sample, step_size
from vendor_model.training import distributed, shape_latent
from vendor_model.training.geometry_model import (
    bound,
    geometry_batches,
    geometry_parts,
    geometry_velocity,
    voxel_decoder_of,
)
from vendor_model.training.objectives import noise_for, soft_overlap
from vendor_model.training.objects import distance_grid, make_object
from vendor_model.training.products import fast_products
from vendor_model.training.recipe import Run
from vendor_model.training.samples import SampleSizes, distances_of, embedder_inputs
from vendor_model.training.shape_latent import disturbed
from vendor_model.training.trainer import Figures


def shape_code(run: Run) -> None:
    """Principal components of the distance patches of some thousand objects; kept where there are some, as
    every stage after goes by their signs."""
    path = run.runs / "shape_code.npz"
    if path.exists():
        return
    run.runs.mkdir(parents=True, exist_ok=True)
    channels = run.module("ss_decoder").input_layer.in_channels
    grids = next(distance_grids(run.recipe.train_seed, SampleSizes.voxels, 3000))
    shape_latent.fit(grids, run.recipe.patch, channels).save(path)


def distance_grids(seed: int, resolution: int, batch: int) -> Iterator[Tensor]:
    """Signed distances (batch, R, R, R) of new random objects, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        yield torch.from_numpy(np.stack([distance_grid(make_object(rng), resolution) for _ in range(batch)]))


def voxel_decoder(run: Run) -> None:
    """Shape codes, disturbed as a flow model would, to occupancy logits."""
    parts = nn.ModuleDict({"ss_decoder": run.module("ss_decoder")})
    code, rng = run.shape_code(), run.rng()

    def loss(distances: Tensor) -> tuple[Tensor, Figures]:
        target = distances < 0.5 / distances.shape[1]
        tokens = disturbed(code.encode(distances), rng)
        with fast_products(run.device):
            logits = parts["ss_decoder"](tokens_to_grid(tokens))[:, 0].float()
        hard = soft_overlap((logits > 0).float(), target.float())
        return F.binary_cross_entropy_with_logits(logits, target.float()), {"voxel_iou": hard.mean()}

    seed, batch = run.own_seed(run.recipe.train_seed + 2000), distributed.part(run.recipe.shape_batch)
    grids = distance_grids(seed, SampleSizes.voxels, batch)
    run.train("voxel_decoder", parts, loss, grids)


def voxel_tuning(run: Run) -> None:
    """The voxel decoder again, half of the time on codes that the geometry model makes of photos, sampled as
    the model folder's `pipeline.yaml` says.

    Where a photo leaves a thin part unsure the predicted code is a mean, which a decoder of true codes leaves
    empty. The overlap with the truth, which is what counts, wants it filled as far as that pays.
    """
    tuned = voxel_decoder_of(run, run.recipe.finished)
    parts = geometry_parts(run, run.recipe.finished).requires_grad_(False)
    flow = parts["ss_flow"]
    code, rng = run.shape_code(), run.rng()

    settings = geometry_sampler(run.config)
    told = step_size(settings, run.device) / TIME_SCALE
    unconditional = bound(run, flow, flow.unconditional_context())

    @torch.no_grad()
    def predicted_codes(batch: dict[str, Tensor]) -> Tensor:
        noise = noise_for(flow.latent_shapes(len(batch["distances"])), rng)
        velocity = geometry_velocity(run, parts, embedder_inputs(batch, rng))
        return sample(
            lambda x, time: velocity(x, time / TIME_SCALE, told),
            lambda x, time: unconditional(x, time / TIME_SCALE, told),
            noise,
            settings,
        )["shape"]

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        distances = distances_of(batch["distances"])
        target = (distances < 0.5 / distances.shape[1]).float()
        half = len(distances) // 2
        seen = predicted_codes({name: values[:half] for name, values in batch.items()})
        tokens = torch.cat([seen, disturbed(code.encode(distances[half:]), rng)])
        with fast_products(run.device):
            logits = tuned["ss_decoder"](tokens_to_grid(tokens))[:, 0].float()
        overlap = soft_overlap(logits.sigmoid(), target)
        hard = soft_overlap((logits > 0).float(), target)
        figures = {"voxel_iou_seen": hard[:half].mean(), "voxel_iou": hard[half:].mean()}
        return F.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean(), figures

    run.train("voxel_tuning", tuned.train(), loss, geometry_batches(run))
