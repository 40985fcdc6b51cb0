"""What is trained on what, how long and how fast; and where a training reads and writes."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from zlib import crc32

import torch
from torch import nn

from vendor_model import checkpoints
from vendor_model.config import PipelineConfig, read_pipeline, read_yaml
from vendor_model.errors import CheckpointError, UserError
from vendor_model.training import distributed
from vendor_model.training.attention import fast_attention
from vendor_model.training.shape_latent import ShapeCode
from vendor_model.training.shards import EVERYTHING, Selection, Shards
from vendor_model.training.trainer import Loss, Schedule, load_average, saved_step, train

SHAPE_AND_ROTATION = {"shape": 1.0, "6drotation_normalized": 0.1}
LAYOUT = SHAPE_AND_ROTATION | {"translation": 1.0, "scale": 0.1}
"""The paper's loss weights (appendix, training recipe), before and since there are point maps."""

BRIEF = {"shape": 1.0, "6drotation_normalized": 0.3, "translation": 1.0, "scale": 0.3}
"""Mini's loss weights. The paper's rotation and scale weight of 0.1 is raised: a small model trained briefly
otherwise never learns to turn its objects."""


@dataclass(frozen=True)
class Phase:
    """One leg of the geometry model's training.

    start: the stage whose weights it goes on from, None for new ones. objective: what is minimised, a key of
    `geometry_stages.OBJECTIVES`. selection: the samples it sees. weights: of the loss, by latent.
    estimated: share of the samples whose point map is the depth model's, of `Run.estimated_shards`.
    point_map_drop: share of samples without point map; unconditional: share of samples whose whole condition
    is hidden, for guidance.
    """

    start: str | None
    objective: str = "flow_matching"
    selection: Selection = EVERYTHING
    estimated: float = 0.375
    weights: Mapping[str, float] = field(default_factory=lambda: LAYOUT)
    point_map_drop: float = 0.1
    unconditional: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """Sizes and lengths of a training, and the kinds of object that fill its scenes.

    phases: the geometry model's, by stage, in their order. finished, decoder: the stages whose geometry model
    and voxel decoder are exported. …batch: samples that the processes that train together share out among
    them; `surface` sees one object in each. texture_at_noise: share of the texture model's draws at time 0.
    preferred_from, shortcut_from: the stages that preference optimisation and distillation start from;
    guidance: strength of the samples they learn from, which only a model trained with `unconditional` can
    follow; candidates: drawn for each preference pair, in candidate_steps; preference_strength: βT of the
    loss.
    """

    categories: tuple[str, ...]
    phases: Mapping[str, Phase]
    schedules: Mapping[str, Schedule]
    finished: str = "fine_tuning"
    decoder: str = "fine_tuning"
    train_seed: int = 1
    scenes_per_shard: int = 48
    shards: int = 700
    estimated_shards: int = 350
    patch: int = 8
    texture_at_noise: float = 0.5
    batch: int = 128
    shape_batch: int = 16
    depth_batch: int = 16
    texture_batch: int = 8
    piece_batch: int = 32
    piece_voxels: int = 256
    preferred_from: str = "fine_tuning"
    shortcut_from: str = "fine_tuning"
    guidance: float = 0.0
    candidates: int = 8
    candidate_steps: int = 4
    preference_strength: float = 2000.0


REGRESSION = Phase(None, "regression", weights=BRIEF, point_map_drop=0.05, unconditional=0.0)

MINI = Recipe(
    categories=(
        *("ball", "egg", "crate", "barrel", "cone", "hat", "ring", "snowman", "tree", "potted_plant"),
        *("mushroom", "house", "tower", "car", "truck", "rocket", "pawn", "trophy", "fruit", "cake"),
        *("bottle", "vase", "mug", "bowl", "bucket", "teapot", "lamp", "candle", "stool", "table", "chair"),
        *("armchair", "cabinet", "duck"),
    ),
    phases={
        "pretraining": replace(REGRESSION, selection=Selection(("isolated",)), estimated=0.0),
        "render_paste": replace(
            REGRESSION, start="pretraining", selection=Selection(("isolated", "pasted")), estimated=0.0
        ),
        "object_swap": replace(REGRESSION, start="render_paste"),
        "fine_tuning": replace(REGRESSION, start="object_swap", objective="voxel_overlap"),
    },
    schedules={
        "voxel_decoder": Schedule(320, 1.5e-3),
        "depth": Schedule(12000, 1e-3, muon=True),
        "surface": Schedule(1500, 1.5e-3),
        "pretraining": Schedule(800, 1.2e-3, final=1.0, muon=True),
        "render_paste": Schedule(800, 1.2e-3, final=1.0, muon=True),
        "object_swap": Schedule(5200, 1.2e-3, final=1.0, muon=True),
        "fine_tuning": Schedule(3800, 1.2e-3, muon=True),
        "voxel_tuning": Schedule(550, 7e-4),
        "texture_regression": Schedule(1000, 1e-3),
        "texture": Schedule(1200, 7e-4),
        "preference": Schedule(200, 2e-5, warmup=20),
        "shortcut": Schedule(400, 2e-4),
        "clicks": Schedule(20000, 2e-3),
    },
)
"""For a CPU: the paper's order of stages, short, by regression of codes and of the solids that they stand
for, then from noise and through the voxels; with layout and point maps from the start, which cost a generated
scene nothing."""

PAPER = replace(
    MINI,
    phases={
        "pretraining": Phase(
            None,
            selection=Selection(("isolated",)),
            estimated=0.0,
            weights=SHAPE_AND_ROTATION,
            point_map_drop=1.0,
        ),
        "render_paste": Phase(
            "pretraining",
            selection=Selection(("pasted",)),
            estimated=0.0,
            weights=SHAPE_AND_ROTATION,
            point_map_drop=1.0,
        ),
        "object_swap": Phase("render_paste", selection=Selection(("ground",))),
        "fine_tuning": Phase("object_swap", selection=Selection(least_visible=0.7)),
    },
    schedules=MINI.schedules
    | {
        "pretraining": Schedule(200_000, 1e-4, warmup=1000, ema=0.9999, accumulate=2),
        "render_paste": Schedule(100_000, 1e-4, warmup=1000, ema=0.9999, accumulate=2),
        "object_swap": Schedule(50_000, 1e-4, warmup=1000, ema=0.9999, accumulate=2),
        "fine_tuning": Schedule(20_000, 1e-5, warmup=500, ema=0.999, accumulate=2),
        "preference": Schedule(5_000, 2.5e-6, ema=0.99),
        "shortcut": Schedule(4_000, 1e-5, ema=0.999),
    },
    texture_batch=32,
    piece_batch=128,
    finished="shortcut",
    decoder="voxel_tuning",
    shards=5000,
    estimated_shards=2500,
    shortcut_from="preference",
    guidance=2.0,
    candidate_steps=25,
)
"""The paper's order of stages, its rates and its weights, for those who train for days; the lengths are ours,
and so are depth, surface and texture.
Isolated objects, then objects that hide each other, then scenes with layout and point map, then only what is
well visible; then preferences, then few steps."""

LEAST_SHARE = 4
"""Samples of the geometry model's batch without which a process has none for some part of the loss."""

CPU = torch.device("cpu")

RECIPES = {"mini": MINI, "paper": PAPER}


@dataclass(frozen=True)
class Run:
    """Where a training reads and writes: the model folder's yaml files, and the runs folder.

    begun: the step that the stage goes on from. Weights, losses and moving averages are float32, whatever
    `products.fast_products` run in.
    """

    model: Path
    runs: Path
    recipe: Recipe
    seed: int = 0
    device: torch.device = CPU
    workers: int = 1
    begun: int = 0

    def going_on(self, stage: str) -> "Run":
        """This run from the stage's last checkpoint on, where new samples are drawn: with those of the start
        a stage often stopped would see them again and again. Raises CheckpointError."""
        return replace(self, begun=saved_step(self.runs / stage) or 0)

    @property
    def config(self) -> PipelineConfig:
        return read_pipeline(self.model)

    @property
    def settings(self) -> str:
        """What the networks' yaml files say; pipeline.yaml, which is about sampling, may change meanwhile."""
        files = sorted(path for path in self.model.glob("*.yaml") if path.name != "pipeline.yaml")
        return json.dumps([read_yaml(path) for path in files])

    def module(self, name: str) -> nn.Module:
        """A new network, its weights by the run's seed."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed + crc32(name.encode()))
            return checkpoints.build_one(self.model, self.config, name).to(self.device)

    def trained(self, module: nn.Module, stage: str) -> nn.Module:
        """`load_average` of a stage, after a word where it has not come to its end."""
        self.say_unfinished(stage)
        return load_average(module, self.runs / stage)

    def say_unfinished(self, stage: str) -> None:
        step, schedule = saved_step(self.runs / stage), self.recipe.schedules.get(stage)
        if step is not None and schedule and step < schedule.steps and distributed.rank() == 0:
            print(f"{stage} is used as it is at step {step} of {schedule.steps}.", flush=True)

    def shards(self) -> Shards:
        return Shards(self.runs / "data", self.own_seed(self.seed))

    def estimated_shards(self) -> Shards:
        return Shards(self.runs / "estimated", self.own_seed(self.seed))

    @property
    def readers(self) -> int:
        """Processes that read samples ahead: a GPU waits for them, a CPU would have to share its cores."""
        return 0 if self.device.type == "cpu" else self.workers

    def shape_code(self) -> ShapeCode:
        """Raises CheckpointError when there is none, or it is damaged."""
        path = self.runs / "shape_code.npz"
        try:
            return ShapeCode.load(path).to(self.device)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{path} cannot be read ({error}): run the stage shape_code, and those after it, again."
            ) from None

    def rng(self) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self.own_seed(self.seed))

    def common_seed(self, seed: int) -> int:
        """A seed that the processes which train together share; another when the stage goes on."""
        return seed + 1_000_000_007 * self.begun

    def own_seed(self, seed: int) -> int:
        """A seed for this process; the first has the common one."""
        return self.common_seed(seed) + 1_000_003 * distributed.rank()

    def check_shares(self) -> None:
        """Raises UserError when the processes cannot share out every batch, or would have too few of each."""
        recipe, count = self.recipe, distributed.processes()
        batches = (
            *(recipe.batch, recipe.shape_batch, recipe.depth_batch),
            *(recipe.texture_batch, recipe.piece_batch),
        )
        if any(batch % count for batch in batches) or recipe.batch < LEAST_SHARE * count:
            raise UserError(
                f"{count} processes cannot share batches of {', '.join(map(str, sorted(set(batches))))} "
                "samples: start a number of them that divides all of these."
            )

    def train(
        self,
        stage: str,
        model: nn.Module,
        loss: Loss,
        batches: Iterator,
        alike: torch.Generator | None = None,
    ) -> None:
        """Train by the stage's schedule; alike: see `trainer.train`."""
        torch.manual_seed(self.own_seed(self.seed))
        with fast_attention(self.device):
            schedule, folder = self.recipe.schedules[stage], self.runs / stage
            train(model, loss, batches, schedule, folder, alike, self.settings)
