"""The stages of a training by name, each from what the ones before left in the runs folder.

For mini: data, shape_code, voxel_decoder, depth, estimated, surface, pretraining, render_paste, object_swap,
fine_tuning, texture_regression and texture, then export. A stage goes on from its last checkpoint.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from vendor_model import checkpoints
from vendor_model.training.click_stage import clicks
from vendor_model.training.depth_stage import depth
from vendor_model.training.estimated_scenes import estimated
from vendor_model.training.geometry_stages import geometry
from vendor_model.training.preference_stage import preference
from vendor_model.training.recipe import RECIPES, Run
from vendor_model.training.samples import SampleSizes
from vendor_model.training.shape_stages import shape_code, voxel_decoder, voxel_tuning
from vendor_model.training.shards import write_shards
from vendor_model.training.shortcut_stage import shortcut
from vendor_model.training.texture_stages import latent_statistics, surface, texture, texture_regression


def data(run: Run) -> None:
    """Render scenes into shards; stop and start at will, also while other stages read them."""
    recipe = run.recipe
    write_shards(
        run.runs / "data",
        recipe.train_seed,
        recipe.shards,
        recipe.scenes_per_shard,
        recipe.categories,
        SampleSizes(),
        run.workers,
    )


def trained_in(run: Run) -> dict[str, str]:
    """Module -> the stage that trains it."""
    return {
        "depth_model": "depth",
        "ss_condition_embedder": run.recipe.finished,
        "ss_flow": run.recipe.finished,
        "ss_decoder": run.recipe.decoder,
        "slat_condition_embedder": "texture",
        "slat_flow": "texture",
        "slat_decoder_gs": "surface",
        "slat_decoder_mesh": "surface",
    }


def export(run: Run) -> None:
    """Write the moving averages of all stages as float16 safetensors into the model folder."""
    modules = nn.ModuleDict()
    for name, stage in trained_in(run).items():
        module = nn.ModuleDict({name: checkpoints.build_one(run.model, run.config, name)})
        modules.update(run.trained(module, stage))
    checkpoints.save(run.model, run.config, modules, torch.float16)


ALONE = ("data", "shape_code", "estimated", "latent_statistics", "export")
"""Stages without gradients to share: the first of several processes does them, and the others wait."""

STAGES: dict[str, Callable[[Run], None]] = {
    **{stage.__name__: stage for stage in (data, shape_code, voxel_decoder, depth, estimated, surface)},
    **{name: partial(geometry, stage=name) for recipe in RECIPES.values() for name in recipe.phases},
    **{stage.__name__: stage for stage in (preference, shortcut, voxel_tuning)},
    **{stage.__name__: stage for stage in (latent_statistics, texture_regression, texture, export, clicks)},
}
