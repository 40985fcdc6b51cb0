"""The stages by which mini is trained, each from what the ones before left in the runs folder.

data, shape_code, then voxel_decoder, depth, surface, regression, geometry, voxel_tuning,
texture_regression and texture, then export. A stage goes on from its last checkpoint. Matrix products
in bfloat16 keep a CPU busy; weights, losses and moving averages stay in float32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vendor_model import checkpoints
from vendor_model.config import PipelineConfig, read_pipeline
from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.sampling import TIME_SCALE, draw_noise
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface.gaussians import split_head
from vendor_model.training import shape_latent, surface_targets
from vendor_model.training.objectives import flow_matching, sample_times
from vendor_model.training.objects import distance_grid, make_object
from vendor_model.training.samples import POSE_LATENTS, SampleSizes, Shards, embedder_inputs, write_shards
from vendor_model.training.structured_latent import CHANNELS
from vendor_model.training.trainer import Schedule, load_average, train

GEOMETRY_INPUTS = ("image", "rgb_image", "mask", "rgb_image_mask", "pointmap", "rgb_pointmap")
TEXTURE_INPUTS = ("image", "rgb_image", "mask", "rgb_image_mask")
GEOMETRY_WEIGHTS = {"shape": 1.0, "6drotation_normalized": 0.3, "translation": 1.0, "scale": 0.3}
"""Loss weights by latent. The paper's rotation and scale weight of 0.1 is raised: a small model trained
briefly otherwise never learns to turn its objects."""

POINT_MAP_DROP = 0.1

DEPTH_TOKENS = (64, 160)
"""The depth model's patches a photo, drawn anew each step as MoGe does; fewer cost less."""


@dataclass(frozen=True)
class Recipe:
    """Sizes and lengths of mini's training, and the kinds of object that fill its scenes."""

    categories: tuple[str, ...]
    train_seed: int = 1
    scenes_per_shard: int = 48
    shards: int = 95
    patch: int = 8
    noise_draws: int = 2
    at_noise: float = 0.5
    batch: int = 32
    texture_batch: int = 8
    piece_voxels: int = 256
    schedules: tuple[tuple[str, Schedule], ...] = ()

    def schedule(self, stage: str) -> Schedule:
        return dict(self.schedules)[stage]


MINI = Recipe(
    categories=(
        *("ball", "egg", "crate", "barrel", "cone", "hat", "ring", "snowman", "tree", "potted_plant"),
        *("mushroom", "house", "tower", "car", "truck", "rocket", "pawn", "trophy", "fruit", "cake"),
        *("bottle", "vase", "mug", "bowl", "bucket", "teapot", "lamp", "candle", "stool", "table", "chair"),
        *("armchair", "cabinet", "duck"),
    ),
    schedules=(
        ("voxel_decoder", Schedule(450, 1.5e-3)),
        ("depth", Schedule(1550, 6e-4)),
        ("surface", Schedule(1500, 1.5e-3)),
        ("regression", Schedule(1500, 1e-3)),
        ("geometry", Schedule(950, 7e-4)),
        ("voxel_tuning", Schedule(500, 7e-4)),
        ("texture_regression", Schedule(2000, 1e-3)),
        ("texture", Schedule(1600, 7e-4)),
    ),
)


@dataclass(frozen=True)
class Run:
    """Where a training reads and writes: the model folder's yaml files, and the runs folder."""

    model: Path
    runs: Path
    recipe: Recipe
    seed: int = 0

    @property
    def config(self) -> PipelineConfig:
        return read_pipeline(self.model)

    def module(self, name: str) -> nn.Module:
        return checkpoints.build_one(self.model, self.config, name)

    def shards(self) -> Shards:
        return Shards(self.runs / "data", self.seed)

    def shape_code(self) -> shape_latent.ShapeCode:
        return shape_latent.ShapeCode.load(self.runs / "shape_code.npz")

    def rng(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def train(
        self, stage: str, model: nn.Module, loss: Callable, batches: Iterator, fused_attention: bool = False
    ) -> None:
        torch.manual_seed(self.seed)
        # On a CPU the fused attention's backward pass is slow in bfloat16: it pays for long sequences alone.
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION if fused_attention else SDPBackend.MATH):
            train(model, loss, batches, self.recipe.schedule(stage), self.runs / stage)


def half_precision() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def data(run: Run) -> None:
    """Render scenes into shards; stop and start at will."""
    recipe = run.recipe
    write_shards(
        run.runs / "data",
        recipe.train_seed,
        recipe.shards,
        recipe.scenes_per_shard,
        recipe.categories,
        SampleSizes(),
    )


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


def distances_of(stored: Tensor) -> Tensor:
    """Stored int8 distances to object lengths."""
    return stored.float() / 127 * shape_latent.TRUNCATION


def voxel_decoder(run: Run) -> None:
    """Shape codes, disturbed as a flow model would, to occupancy logits."""
    model, code, rng = run.module("ss_decoder"), run.shape_code(), run.rng()

    def loss(distances: Tensor) -> tuple[Tensor, dict[str, float]]:
        target = distances < 0.5 / distances.shape[1]
        tokens = disturbed(code.encode(distances), rng)
        with half_precision():
            logits = model(tokens_to_grid(tokens))[:, 0].float()
        hard = soft_overlap((logits > 0).float(), target.float())
        return F.binary_cross_entropy_with_logits(logits, target.float()), {"voxel_iou": hard.mean().item()}

    grids = distance_grids(run.recipe.train_seed + 2000, SampleSizes.voxels, 16)
    run.train("voxel_decoder", model, loss, grids)


def voxel_tuning(run: Run) -> None:
    """The voxel decoder again, half of the time on codes that the geometry model makes of photos.

    Where a photo leaves a thin part unsure the predicted code is a mean, which a decoder of true codes leaves
    empty. The overlap with the truth, which is what counts, wants it filled as far as that pays.
    """
    model = load_average(run.module("ss_decoder"), run.runs / "voxel_decoder").train()
    parts = load_average(geometry_parts(run), run.runs / "geometry").requires_grad_(False)
    embedder, flow = parts["ss_condition_embedder"], parts["ss_flow"]
    code, rng = run.shape_code(), run.rng()

    def predicted_codes(batch: dict[str, Tensor]) -> Tensor:
        count = len(batch["distances"])
        noise = draw_noise(flow.latent_shapes(count), rng)
        with torch.no_grad(), half_precision():
            context = flow.prepare_context(embedder(embedder_inputs(batch, rng)))
            velocity = flow(noise, torch.zeros(count), context, d=torch.zeros(1))
        return noise["shape"] + velocity["shape"].float()

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        distances = distances_of(batch["distances"])
        target = (distances < 0.5 / distances.shape[1]).float()
        half = len(distances) // 2
        seen = predicted_codes({name: values[:half] for name, values in batch.items()})
        tokens = torch.cat([seen, disturbed(code.encode(distances[half:]), rng)])
        with half_precision():
            logits = model(tokens_to_grid(tokens))[:, 0].float()
        overlap = soft_overlap(logits.sigmoid(), target)
        hard = soft_overlap((logits > 0).float(), target)
        figures = {"voxel_iou_seen": hard[:half].mean().item(), "voxel_iou": hard[half:].mean().item()}
        return F.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean(), figures

    names = (*GEOMETRY_INPUTS, "distances")
    run.train("voxel_tuning", model, loss, run.shards().batches(names, run.recipe.batch))


def disturbed(tokens: Tensor, rng: torch.Generator) -> Tensor:
    """Codes (B, T, C) with up to 0.4 deviations of noise each, as a flow model errs."""
    amount = 0.4 * torch.rand(len(tokens), 1, 1, generator=rng)
    return tokens + amount * torch.randn(tokens.shape, generator=rng)


def soft_overlap(chances: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of (B, ...) occupancies in 0..1, one for each item."""
    both = (chances * target).flatten(1).sum(1)
    return both / (chances + target - chances * target).flatten(1).sum(1).clamp(min=1e-6)


def depth(run: Run) -> None:
    """Photos to point maps whose median depth is 1.

    MoGe is trained up to an unknown scale and depth shift; both are fixed here, because a least-squares
    alignment inside the loss lets a small, briefly trained model drift to ever smaller maps.
    """
    model, rng = run.module("depth_model"), run.rng()

    def loss(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        photos, truth = batch
        photos = F.avg_pool2d(photos, 2)
        num_tokens = int(torch.randint(DEPTH_TOKENS[0], DEPTH_TOKENS[1] + 1, (), generator=rng))
        with half_precision():
            points, validity = model(photos, num_tokens)
        points, validity = points.float(), validity.float()
        valid = truth.isfinite().all(-1)
        median = truth[..., 2].flatten(1).nanmedian(1).values.view(-1, 1, 1, 1)
        truth = (truth * truth.new_tensor([-1, -1, 1]) / median).where(valid[..., None], 1.0)  # OpenCV axes
        distances = (points - truth).abs().sum(-1) / truth[..., 2].clamp(min=0.1)
        error = (distances.clamp(max=2.0) * valid).sum() / valid.sum().clamp(min=1)
        seen = (validity - valid.float()).square().mean()
        return error + seen, {"relative_error": error.item(), "validity": seen.item()}

    run.train("depth", model, loss, run.shards().photos(16))


def regression(run: Run) -> None:
    """Condition embedder and geometry flow learn shape code and pose without noise, at time 0 alone.

    Flow matching from scratch hides the condition behind noise; this finds it in a fraction of the samples.
    """
    _train_geometry(run, "regression", geometry_parts(run), at_noise=1.0, noise_scale=0.0, draws=1)


def geometry(run: Run) -> None:
    """The regressor becomes the flow model: flow matching on shape code and pose."""
    parts = load_average(geometry_parts(run), run.runs / "regression").train()
    _train_geometry(run, "geometry", parts, run.recipe.at_noise, 1.0, run.recipe.noise_draws)


def geometry_parts(run: Run) -> nn.ModuleDict:
    """Both networks of the first stage."""
    return nn.ModuleDict({name: run.module(name) for name in ("ss_condition_embedder", "ss_flow")})


def _train_geometry(
    run: Run, stage: str, parts: nn.ModuleDict, at_noise: float, noise_scale: float, draws: int
) -> None:
    embedder, flow = parts["ss_condition_embedder"], parts["ss_flow"]
    code, rng = run.shape_code(), run.rng()

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        inputs = embedder_inputs(batch, rng)
        drop = ("pointmap", "rgb_pointmap") if torch.rand((), generator=rng) < POINT_MAP_DROP else ()
        latents = {"shape": code.encode(distances_of(batch["distances"]))}
        latents |= {name: batch[name][:, None] for name in POSE_LATENTS}
        latents = {name: value.repeat_interleave(draws, 0) for name, value in latents.items()}
        times = sample_times(len(latents["shape"]), at_noise, rng)
        with half_precision():
            context = flow.prepare_context(embedder(inputs, drop))

        def velocity(mixed: dict[str, Tensor], times: Tensor) -> dict[str, Tensor]:
            with half_precision():
                predicted = flow(mixed, times * TIME_SCALE, context, d=torch.zeros(1))
            return {name: value.float() for name, value in predicted.items()}

        return flow_matching(velocity, latents, GEOMETRY_WEIGHTS, times, rng, noise_scale)

    names = (*GEOMETRY_INPUTS, *POSE_LATENTS, "distances")
    run.train(stage, parts, loss, run.shards().batches(names, run.recipe.batch))


def surface(run: Run) -> None:
    """Both decoders of the structured latent, on the generator's own surfaces and colours."""
    names = ("slat_decoder_mesh", "slat_decoder_gs")
    parts = nn.ModuleDict({name: run.module(name) for name in names})
    mesh, gaussians, rng = parts["slat_decoder_mesh"], parts["slat_decoder_gs"], run.rng()

    def loss(batch: surface_targets.Targets) -> tuple[Tensor, dict[str, float]]:
        grid = SparseGrid(batch.coords)
        latent = batch.latent + 0.15 * torch.randn(batch.latent.shape, generator=rng)
        with half_precision():
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

    rng_numpy = np.random.default_rng(run.recipe.train_seed + 1000)
    batches = surface_targets.stream(
        rng_numpy, mesh.resolution, mesh.output_resolution, gaussians.settings.num_gaussians
    )
    run.train("surface", parts, loss, batches)


def texture_regression(run: Run) -> None:
    """Condition embedder and texture flow learn the structured latent without noise, as `regression` does.

    On pieces of many objects: it is photos that the embedder needs many of, not voxels.
    """
    names = (*TEXTURE_INPUTS, "pointmap", "rgb_pointmap")
    batches = run.shards().sparse_batches(names, run.recipe.batch, run.recipe.piece_voxels)
    _train_texture(run, "texture_regression", texture_parts(run), batches, at_noise=1.0, noise_scale=0.0)


def texture(run: Run) -> None:
    """The regressor becomes the flow model: flow matching on the structured latent."""
    parts = load_average(texture_parts(run), run.runs / "texture_regression").train()
    names = (*TEXTURE_INPUTS, "pointmap", "rgb_pointmap")
    batches = run.shards().sparse_batches(names, run.recipe.texture_batch)
    _train_texture(run, "texture", parts, batches, run.recipe.at_noise, 1.0)


def texture_parts(run: Run) -> nn.ModuleDict:
    """Both networks of the second stage."""
    return nn.ModuleDict({name: run.module(name) for name in ("slat_condition_embedder", "slat_flow")})


def _train_texture(
    run: Run, stage: str, parts: nn.ModuleDict, batches: Iterator, at_noise: float, noise_scale: float
) -> None:
    embedder, flow, rng, config = parts["slat_condition_embedder"], parts["slat_flow"], run.rng(), run.config
    mean, std = torch.tensor(config.slat_mean), torch.tensor(config.slat_std)

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        inputs = embedder_inputs(batch, rng)
        latent = (batch["features"] - mean) / std
        noise = noise_scale * torch.randn(latent.shape, generator=rng)
        grid = flow.prepare_coords(batch["coords"], len(batch["image"]))
        times = sample_times(len(batch["image"]), at_noise, rng)
        tau = grid.levels[0].per_cell(times[:, None])
        with half_precision():
            context = flow.prepare_context(embedder(inputs))
            predicted = flow(tau * latent + (1 - tau) * noise, times * TIME_SCALE, grid, context).float()
        error = (predicted - (latent - noise)).square()
        color = error[:, 4:7].mean().item()
        return error.mean(), {"color": color, "form": error[:, :4].mean().item()}

    run.train(stage, parts, loss, batches, fused_attention=True)


def latent_statistics(run: Run) -> tuple[list[float], list[float]]:
    """Mean and deviation of the structured latent's channels, for `pipeline.yaml`."""
    shard = next(run.shards().arrays())["features"].astype(np.float64)
    assert shard.shape[1] == CHANNELS
    return [round(float(x), 4) for x in shard.mean(0)], [round(float(x), 4) for x in shard.std(0)]


TRAINED_IN = {
    "depth_model": ("depth", ""),
    "ss_condition_embedder": ("geometry", "ss_condition_embedder."),
    "ss_flow": ("geometry", "ss_flow."),
    "ss_decoder": ("voxel_tuning", ""),
    "slat_condition_embedder": ("texture", "slat_condition_embedder."),
    "slat_flow": ("texture", "slat_flow."),
    "slat_decoder_gs": ("surface", "slat_decoder_gs."),
    "slat_decoder_mesh": ("surface", "slat_decoder_mesh."),
}
"""Module -> the stage that trains it and the prefix of its keys there."""


def export(run: Run) -> None:
    """Write the moving averages of all stages as float16 safetensors into the model folder."""
    modules = {}
    for name, (stage, prefix) in TRAINED_IN.items():
        average = torch.load(run.runs / stage / "average.pt", weights_only=True)
        state = {key.removeprefix(prefix): value for key, value in average.items() if key.startswith(prefix)}
        modules[name] = run.module(name)
        modules[name].load_state_dict(state)
    checkpoints.save(run.model, run.config, modules, torch.float16)


STAGES: dict[str, Callable[[Run], None]] = {
    stage.__name__: stage
    for stage in (
        data,
        shape_code,
        voxel_decoder,
        depth,
        surface,
        regression,
        geometry,
        voxel_tuning,
        texture_regression,
        texture,
        export,
    )
}
