"""A small training for the tests of its stages and of its data."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The mini model of one block a network, with a shard of its own and a shape code."""
    pytest.importorskip("numba")
    from small_model import write_small_model

    from vendor_model.training.recipe import PAPER, Run
    from vendor_model.training.samples import SampleSizes
    from vendor_model.training.shape_latent import fit
    from vendor_model.training.shape_stages import distance_grids
    from vendor_model.training.shards import EVERYTHING, write_shards
    from vendor_model.training.trainer import Schedule

    folder, runs = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("runs")
    write_small_model(folder)
    sizes = SampleSizes(photos=((96, 96),))
    for folder_name, seed in (("data", 1), ("estimated", 2)):
        write_shards(runs / folder_name, seed, 1, 8, ("crate", "mug", "ball"), sizes)
    schedules = {name: Schedule(2, 1e-3, warmup=1, report_every=1, save_every=1) for name in PAPER.schedules}
    kinds = {"pretraining": EVERYTHING, "render_paste": EVERYTHING}  # so few scenes hold not all of them
    phases = {name: replace(PAPER.phases[name], selection=kinds[name]) for name in kinds}
    recipe = replace(
        PAPER, schedules=schedules, phases=phases, batch=4, piece_batch=4, candidates=2, candidate_steps=2,
        preferred_from="render_paste", finished="render_paste",
    )  # fmt: skip
    run = Run(folder, runs, recipe)
    channels = run.module("ss_decoder").input_layer.in_channels
    fit(next(distance_grids(1, 32, 40)), recipe.patch, channels).save(runs / "shape_code.npz")
    return run
