"""The stages of the structured latent: its decoders, and the flow that predicts it."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from vendor_model.sampling import TIME_SCALE
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface.gaussians import split_head
from vendor_model.training import distributed, surface_targets
from vendor_model.training.objectives import sample_times
from vendor_model.training.products import fast_products
from vendor_model.training.recipe import Run
from vendor_model.training.samples import INPUTS, embedder_inputs
from vendor_model.training.trainer import Figures


def surface(run: Run) -> None:
    """Both decoders of the structured latent, on the generator's own surfaces and colours."""
    names = ("slat_decoder_mesh", "slat_decoder_gs")
    parts = nn.ModuleDict({name: run.module(name) for name in names})
    mesh, gaussians, rng = parts["slat_decoder_mesh"], parts["slat_decoder_gs"], run.rng()

    def loss(batch: surface_targets.Targets) -> tuple[Tensor, Figures]:
        grid = SparseGrid(batch.coords)
        latent = batch.latent + 0.15 * torch.randn(batch.latent.shape, generator=rng, device=rng.device)
        with fast_products(run.device):
            features, _ = mesh(latent, grid)
            head = gaussians(latent, grid)
        cubes, cube_figures = surface_targets.cube_loss(features.float(), batch)
        parameters = split_head(
            head.float(),
            batch.coords,
            gaussians.offset_perturbation,
            gaussians.resolution,
            gaussians.settings,
        )
        splats, splat_figures = surface_targets.splat_loss(parameters, gaussians.settings, batch)
        return cubes + splats, cube_figures | splat_figures

    rng_numpy = np.random.default_rng(run.own_seed(run.recipe.train_seed + 1000))
    batches = surface_targets.stream(
        rng_numpy, mesh.resolution, mesh.output_resolution, gaussians.settings.num_gaussians
    )
    run.train("surface", parts, loss, batches)


def texture_regression(run: Run) -> None:
    """Condition embedder and texture flow learn the structured latent without noise: behind it they would
    find the photo late.

    On pieces of many objects: it is photos that the embedder needs many of, not voxels.
    """
    batches = run.shards().sparse_batches(
        INPUTS, distributed.part(run.recipe.piece_batch), run.recipe.piece_voxels
    )
    _train_texture(run, "texture_regression", texture_parts(run), batches, at_noise=1.0, noise_scale=0.0)


def texture(run: Run) -> None:
    """The regressor becomes the flow model: flow matching on the structured latent."""
    parts = run.trained(texture_parts(run), "texture_regression").train()
    batches = run.shards().sparse_batches(INPUTS, distributed.part(run.recipe.texture_batch))
    _train_texture(run, "texture", parts, batches, run.recipe.texture_at_noise, 1.0)


def texture_parts(run: Run) -> nn.ModuleDict:
    """Both networks of the second stage."""
    return nn.ModuleDict({name: run.module(name) for name in ("slat_condition_embedder", "slat_flow")})


def _train_texture(
    run: Run, stage: str, parts: nn.ModuleDict, batches: Iterator, at_noise: float, noise_scale: float
) -> None:
    embedder, flow, rng, config = parts["slat_condition_embedder"], parts["slat_flow"], run.rng(), run.config
    mean, std = (torch.tensor(values, device=run.device) for values in (config.slat_mean, config.slat_std))

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        inputs = embedder_inputs(batch, rng)
        latent = (batch["features"] - mean) / std
        noise = noise_scale * torch.randn(latent.shape, generator=rng, device=rng.device)
        grid = flow.prepare_coords(batch["coords"], len(batch["image"]))
        times = sample_times(len(batch["image"]), at_noise, rng)
        tau = grid.levels[0].per_cell(times[:, None])
        with fast_products(run.device):
            context = flow.prepare_context(embedder(inputs))
            predicted = flow(tau * latent + (1 - tau) * noise, times * TIME_SCALE, grid, context).float()
        error = (predicted - (latent - noise)).square()
        color = error[:, 4:7].mean()
        return error.mean(), {"color": color, "form": error[:, :4].mean()}

    run.train(stage, parts, loss, batches)


def latent_statistics(run: Run) -> None:
    """Print the mean and deviation of the structured latent's channels, for `pipeline.yaml`."""
    features = next(run.shards().arrays(("features",)))["features"].astype(np.float64)
    for name, values in {"slat_mean": features.mean(0), "slat_std": features.std(0)}.items():
        print(f"{name}: {[round(float(value), 4) for value in values]}", flush=True)
