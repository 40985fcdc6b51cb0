"""The stages of a training by name, each from what the ones before left in the runs folder.

For mini: data, shape_code, voxel_decoder, depth, surface, regression, geometry, overlap, texture_regression
and texture, then export. A stage goes on from its last checkpoint.
"""

from collections.abc import Callable
from functools import partial

import torch

from vendor_model import checkpoints
from vendor_model.checkpoints.files import check_fit
from vendor_model.training.click_stage import clicks
from vendor_model.training.depth_stage import depth
from vendor_model.training.geometry_stages import geometry
from vendor_model.training.preference_stage import preference
from vendor_model.training.recipe import RECIPES, Run
from vendor_model.training.samples import SampleSizes
from vendor_model.training.shape_stages import overlap, shape_code, voxel_decoder, voxel_tuning
from vendor_model.training.shards import write_shards
from vendor_model.training.shortcut_stage import shortcut
from vendor_model.training.texture_stages import surface, texture, texture_regression
from vendor_model.training.trainer import read_state


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


def trained_in(run: Run) -> dict[str, tuple[str, str]]:
    """Module -> the stage that trains it and the prefix of its keys there."""
    alone = run.recipe.decoder == "voxel_decoder"
    return {
        "depth_model": ("depth", ""),
        "ss_condition_embedder": (run.recipe.finished, "ss_condition_embedder."),
        "ss_flow": (run.recipe.finished, "ss_flow."),
        "ss_decoder": (run.recipe.decoder, "" if alone else "ss_decoder."),
        "slat_condition_embedder": ("texture", "slat_condition_embedder."),
        "slat_flow": ("texture", "slat_flow."),
        "slat_decoder_gs": ("surface", "slat_decoder_gs."),
        "slat_decoder_mesh": ("surface", "slat_decoder_mesh."),
    }


def export(run: Run) -> None:
    """Write the moving averages of all stages as float16 safetensors into the model folder."""
    modules = {}
    for name, (stage, prefix) in trained_in(run).items():
        path = run.runs / stage / "average.pt"
        state = {
            key.removeprefix(prefix): value
            for key, value in read_state(path).items()
            if key.startswith(prefix)
        }
        modules[name] = checkpoints.build_one(run.model, run.config, name)
        check_fit({key: tuple(value.shape) for key, value in state.items()}, modules[name], path)
        modules[name].load_state_dict(state)
    checkpoints.save(run.model, run.config, modules, torch.float16)


STAGES: dict[str, Callable[[Run], None]] = {
    **{stage.__name__: stage for stage in (data, shape_code, voxel_decoder, depth, surface)},
    **{name: partial(geometry, stage=name) for recipe in RECIPES.values() for name in recipe.phases},
    **{stage.__name__: stage for stage in (preference, shortcut, voxel_tuning, overlap)},
    **{stage.__name__: stage for stage in (texture_regression, texture, export, clicks)},
}
