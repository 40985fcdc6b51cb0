"""The stages of the geometry model's training: their objectives, their data, how they stop and go on."""

import json
import math
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_model import write_small_model
from torch import nn

pytest.importorskip("numba")

from vendor_model.errors import CheckpointError, UserError
from vendor_model.layout.pose import denormalise_rotation_6d
from vendor_model.layout.transforms import rotation_6d_to_matrix
from vendor_model.training import shape_stages
from vendor_model.training.geometry_model import (
    GEOMETRY_SAMPLES,
    geometry_batches,
    geometry_parts,
    true_latents,
    voxel_decoder_of,
)
from vendor_model.training.geometry_stages import OBJECTIVES
from vendor_model.training.objectives import preference_loss, shortcut_draws, shortcut_target, soft_overlap
from vendor_model.training.preference_stage import ranked_pair
from vendor_model.training.recipe import MINI, PAPER, Run
from vendor_model.training.samples import (
    DISTURBED,
    MAPS,
    MASKS,
    PICTURES,
    SampleSizes,
    embedder_inputs,
    mirrored,
)
from vendor_model.training.shape_latent import fit
from vendor_model.training.shape_stages import distance_grids, distances_of
from vendor_model.training.shards import EVERYTHING, Selection, Shards, save_shard, write_shards
from vendor_model.training.shortcut_stage import forget_steps
from vendor_model.training.stages import STAGES, trained_in
from vendor_model.training.trainer import Schedule, make_optimizers, read_state


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_loss_of_a_preference_is_that_of_the_formula():
    # The policy came nearer to the better one by 0.1 and left the worse one by 0.1.
    errors = [torch.tensor([value, value]) for value in (0.2, 0.3, 0.5, 0.4)]
    expected = -math.log(1 / (1 + math.exp(-10 * 0.2)))
    assert preference_loss(*errors, strength=10).tolist() == pytest.approx([expected, expected])
    unmoved = [torch.tensor([0.3]), torch.tensor([0.3]), torch.tensor([0.4]), torch.tensor([0.4])]
    assert preference_loss(*unmoved, strength=10).item() == pytest.approx(math.log(2))


def test_a_long_step_should_lead_where_two_half_ones_do():
    told = []

    def velocity(x, times, step):
        told.append(step.tolist())
        return {"shape": 2 * x["shape"] + times.view(-1, 1, 1)}

    start, time, length = 3.0, 0.25, 0.5
    middle = start + length / 2 * (2 * start + time)
    end = middle + length / 2 * (2 * middle + time + length / 2)
    mixed = {"shape": torch.full((1, 1, 1), start)}
    target = shortcut_target(velocity, mixed, torch.tensor([time]), torch.tensor([length]))
    assert target["shape"].item() == pytest.approx((end - start) / length)
    assert told == [[0.25], [0.25]]
    shortcut_target(velocity, mixed, torch.tensor([time]), torch.tensor([2.0**-7]))
    assert told[2:] == [[0.0], [0.0]]


def test_distilled_steps_are_powers_of_two_that_end_in_time():
    steps, times = shortcut_draws(4000, rng())
    assert set(steps.tolist()) == {2.0**-power for power in range(8)}
    assert (times % steps == 0).all() and (times + steps <= 1).all() and (times >= 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The mini model of one block a network, with a shard of its own and a shape code."""
    folder, runs = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("runs")
    write_small_model(folder)
    sizes = SampleSizes(photos=((96, 96),))
    for folder_name, seed in (("data", 1), ("estimated", 2)):
        write_shards(runs / folder_name, seed, 1, 8, ("crate", "mug", "ball"), sizes)
    schedules = {name: Schedule(2, 1e-3, warmup=1, report_every=1, save_every=1) for name in PAPER.schedules}
    kinds = {"pretraining": EVERYTHING, "render_paste": EVERYTHING}  # so few scenes hold not all of them
    phases = {name: replace(PAPER.phases[name], selection=kinds[name]) for name in kinds}
    recipe = replace(
        PAPER, schedules=schedules, phases=phases, batch=4, candidates=2, candidate_steps=2,
        preferred_from="render_paste", finished="render_paste",
    )  # fmt: skip
    run = Run(folder, runs, recipe)
    channels = run.module("ss_decoder").input_layer.in_channels
    fit(next(distance_grids(1, 32, 40)), recipe.patch, channels).save(runs / "shape_code.npz")
    return run


class Killed(BaseException):
    """What kill does: nobody catches it."""


def killed_then_resumed(run: Run, stage: str, monkeypatch) -> list[dict]:
    """The log of a stage that was killed in its second step and started again."""
    batches = Shards.batches

    def short(self, *arguments):
        source = batches(self, *arguments)
        yield next(source)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "batches", short)
        with pytest.raises(Killed):
            STAGES[stage](run)
    STAGES[stage](run)
    lines = (run.runs / stage / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_stage_goes_on_after_a_kill(run, monkeypatch):
    STAGES["voxel_decoder"](
        replace(run, recipe=replace(run.recipe, schedules={"voxel_decoder": Schedule(1, 1e-3)}))
    )
    for stage in ("pretraining", "render_paste", "preference", "shortcut"):
        log = killed_then_resumed(run, stage, monkeypatch)
        assert [line["step"] for line in log] == [1, 2], stage
        assert all(math.isfinite(line["loss"]) for line in log), stage
    states = [
        torch.load(run.runs / stage / "last.pt", weights_only=True)["model"]
        for stage in ("pretraining", "render_paste", "preference")
    ]
    key = "ss_flow.blocks.0.mlp.shape.mlp.0.weight"
    started = [(first[key] - second[key]).abs().max() for first, second in pairwise(states)]
    assert all(0 < distance < 0.02 for distance in started)  # each went on from the one before


def test_the_voxel_decoder_is_tuned_on_the_codes_of_the_geometry_model(run, monkeypatch):
    run = replace(run, recipe=replace(run.recipe, estimated=0.0))
    for stage in ("voxel_decoder", "pretraining", "render_paste"):
        STAGES[stage](run)
    decoded = []
    grids = shape_stages.tokens_to_grid
    monkeypatch.setattr(shape_stages, "tokens_to_grid", lambda codes: decoded.append(codes) or grids(codes))
    STAGES["voxel_tuning"](run)
    seen, known = decoded[0].chunk(2)
    # A new flow model says nothing yet, so that its codes are noise; known ones are disturbed by less.
    assert seen.std() == pytest.approx(1, abs=0.1)
    everything = torch.from_numpy(next(run.shards().arrays())["distances"])
    true = run.shape_code().encode(distances_of(everything))
    nearest = [min((one - code).std() for code in true) for one in known]
    assert max(nearest) < 0.45 < min(min((one - code).std() for code in true) for one in seen)


def test_regression_asks_for_the_data_itself_most_often_in_place_of_noise(run):
    run = replace(run, recipe=replace(run.recipe, batch=16))
    phase = replace(MINI.phases["pretraining"], point_map_drop=0.0)
    batch, code = next(geometry_batches(run)), run.shape_code()
    seen = []

    class Oracle(nn.Module):
        """Answers the velocity to the truth, half of it from the second call on."""

        def prepare_context(self, tokens):
            return None

        def forward(self, latents, times, context, d):
            seen.append((latents, times))
            truth = true_latents(batch, code)
            return {name: (truth[name] - latents[name]) / len(seen) for name in truth}

    parts = nn.ModuleDict({"ss_condition_embedder": run.module("ss_condition_embedder"), "ss_flow": Oracle()})
    loss = OBJECTIVES["regression"](run, phase, parts)
    assert loss(batch)[0] < 1e-3  # the code is computed in bfloat16
    [(latents, times)] = seen
    assert not times.any()
    noisy = {name: value.abs().sum((1, 2)) > 0 for name, value in latents.items()}
    assert 1 <= noisy["shape"].sum() <= 8
    assert all(torch.equal(rows, noisy["shape"]) for rows in noisy.values())
    half, figures = loss(batch)
    assert half > 0.1 and figures["shape"] == figures["shape_at_noise"] > 0.05


def test_every_objective_is_one_that_there_is():
    phases = [*MINI.phases.values(), *PAPER.phases.values()]
    assert {phase.objective for phase in phases} == set(OBJECTIVES)


def test_a_phase_through_the_voxels_teaches_photo_and_decoder_at_once(run, monkeypatch):
    """Its gradient reaches the condition embedder through what one step from noise is decoded to."""
    silent = {name: 0.0 for name in MINI.phases["render_paste"].weights}  # the voxels alone teach
    phases = {
        name: replace(MINI.phases[name], weights=silent, selection=EVERYTHING, objective="voxel_overlap")
        for name in ("pretraining", "render_paste")
    }
    # The second only: a new flow model lets no gradient pass to its condition.
    phases["pretraining"] = replace(phases["pretraining"], weights=MINI.phases["pretraining"].weights)
    run = replace(run, recipe=replace(run.recipe, phases=phases, decoder="render_paste"))
    for stage in ("voxel_decoder", "pretraining"):
        shutil.rmtree(run.runs / stage, ignore_errors=True)
        STAGES[stage](run)
    shutil.rmtree(run.runs / "render_paste", ignore_errors=True)
    log = killed_then_resumed(run, "render_paste", monkeypatch)
    assert [line["step"] for line in log] == [1, 2]
    after = read_state(run.runs / "render_paste" / "last.pt")["model"]
    for before in (geometry_parts(run, "pretraining"), voxel_decoder_of(run, "pretraining")):
        moved = [
            (value - after[name]).abs().max() for name, value in before.named_parameters() if value.dim() > 1
        ]
        assert max(moved) > 1e-4
    alone = voxel_decoder_of(replace(run, recipe=replace(run.recipe, phases={})), None)
    tuned = voxel_decoder_of(run, "pretraining").state_dict()
    assert any((value - tuned[name]).abs().max() > 1e-4 for name, value in alone.state_dict().items())
    exported = trained_in(run)
    assert exported["ss_flow"] == exported["ss_decoder"] == "render_paste"


@pytest.mark.parametrize("decoder", ["voxel_decoder", "voxel_tuning", "render_paste"])
def test_any_stage_is_exported_with_the_decoder_that_is_asked_for(run, decoder, tmp_path):
    runs, model = tmp_path / "runs", shutil.copytree(run.model, tmp_path / "model")
    run = replace(run, runs=runs, model=model)
    stages = {
        "depth": ("depth_model",),
        "voxel_decoder": ("ss_decoder",),
        "voxel_tuning": ("ss_decoder",),
        "render_paste": ("ss_condition_embedder", "ss_flow", "ss_decoder"),
        "surface": ("slat_decoder_gs", "slat_decoder_mesh"),
        "texture": ("slat_condition_embedder", "slat_flow"),
    }
    parts = {
        stage: nn.ModuleDict({name: run.module(name) for name in names}) for stage, names in stages.items()
    }
    for stage, modules in parts.items():
        (runs / stage).mkdir(parents=True)
        torch.save(modules.state_dict(), runs / stage / "average.pt")
    STAGES["export"](replace(run, recipe=replace(run.recipe, decoder=decoder)))
    exported = load_file(model / "ss_decoder.safetensors")
    for key, value in parts[decoder]["ss_decoder"].state_dict().items():
        assert torch.equal(exported[key], value.half())


def test_soft_overlap_is_that_of_sets_where_chances_are_certain():
    truth = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])
    assert soft_overlap(truth, truth).tolist() == [1, 1]
    assert soft_overlap(torch.tensor([[1.0, 0, 1, 0], [1, 1, 1, 0]]), truth).tolist() == pytest.approx(
        [1 / 3, 0]
    )
    assert soft_overlap(torch.tensor([[0.5, 0.5, 0, 0]]), truth[:1]).item() == pytest.approx(0.5)


def test_pieces_of_objects_are_their_voxels_around_one(run):
    names, shards = ("distances",), run.shards()
    whole = next(Shards(shards.folder, 3).sparse_batches(names, 4, None))
    pieces = next(Shards(shards.folder, 3).sparse_batches(names, 4, 50))
    for item in range(4):
        cells = whole["coords"][whole["coords"][:, 0] == item][:, 1:]
        own = pieces["coords"][:, 0] == item
        piece = pieces["coords"][own][:, 1:]
        places = [int((cells == cell).all(1).nonzero()) for cell in piece]
        assert len(set(places)) == len(piece) == 50
        taken = whole["features"][whole["coords"][:, 0] == item][places]
        assert torch.equal(taken, pieces["features"][own])
        reach = (cells[:, None] - piece[None]).float().norm(dim=-1).amax(1)  # farthest taken from each centre
        rest = np.setdiff1d(np.arange(len(cells)), places)
        nearest = (cells[:, None] - cells[rest][None]).float().norm(dim=-1).amin(1)
        assert (reach <= nearest + 1e-6).any()  # one of them has all it needs around it


def test_pretraining_neither_learns_the_layout_nor_sees_point_maps():
    phase = PAPER.phases["pretraining"]
    assert set(phase.weights) == {"shape", "6drotation_normalized"} and phase.point_map_drop == 1
    assert PAPER.phases["object_swap"].selection.kinds == ("ground",)
    assert PAPER.phases["fine_tuning"].selection.least_visible > 0.5


def test_a_stage_that_is_not_in_the_recipe_is_named(run):
    with pytest.raises(
        UserError, match="'object_swap' is not part of this recipe: its phases are pretraining, render_paste"
    ):
        STAGES["object_swap"](run)


def test_the_better_candidate_overlaps_more_with_the_truth(run):
    parts = geometry_parts(run).eval()
    nn.init.normal_(parts["ss_flow"].latent_mapping["shape"].out_layer.weight)  # a new model always says zero
    decoder, [batch] = run.module("ss_decoder"), [next(run.shards().batches(("distances",), 4))]

    def velocity(latents, times):
        return {name: torch.zeros_like(value) for name, value in latents.items()}

    with torch.no_grad():
        better, worse, gap = ranked_pair(run, parts, velocity, decoder, batch, rng())
    assert better["shape"].shape == worse["shape"].shape == (4, 64, 64)
    assert (gap >= 0).all() and (gap > 0).any()


def test_distillation_begins_deaf_to_the_step_and_with_the_same_answers(run):
    flow = geometry_parts(run)["ss_flow"].eval()
    for mapping in flow.latent_mapping.values():
        nn.init.normal_(mapping.out_layer.weight)
    for block in flow.blocks:
        nn.init.normal_(block.adaLN_modulation[1].weight, std=0.1)
    nn.init.normal_(flow.d_embedder.mlp[2].weight)
    latents = {name: torch.randn(shape, generator=rng()) for name, shape in flow.latent_shapes().items()}
    context = flow.unconditional_context()

    def answer(step: float) -> torch.Tensor:
        with torch.no_grad():
            return flow(latents, torch.tensor([500.0]), context, d=torch.tensor([step]))["shape"]

    before = answer(0.0)
    assert not torch.allclose(answer(250.0), before, atol=1e-2)
    forget_steps(flow)
    assert torch.allclose(answer(0.0), before, atol=1e-4)
    assert torch.equal(answer(250.0), answer(0.0))


def test_a_stage_that_was_not_trained_is_named(run):
    with pytest.raises(CheckpointError, match="run the stage nothing of the training first"):
        geometry_parts(run, "nothing")


def test_muon_turns_the_matrices_of_blocks_and_nothing_else(run):
    parts = geometry_parts(run)
    adam, muon = make_optimizers(parts, Schedule(1, 1e-3, muon=True))
    [turned] = muon.param_groups
    names = {id(parameter): name for name, parameter in parts.named_parameters()}
    assert all("blocks." in names[id(p)] and p.ndim == 2 for p in turned["params"])
    assert any("self_attn" in names[id(p)] for p in turned["params"])
    stepped = [
        id(p) for optimizer in (adam, muon) for group in optimizer.param_groups for p in group["params"]
    ]
    assert sorted(stepped) == sorted(id(p) for p in parts.parameters() if p.requires_grad)


def posed_solid(batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
    """Occupied cells of a stored sample in the camera frame, in the units of its point map."""
    side = batch["distances"].shape[1]
    centers = (torch.stack(torch.meshgrid(*[torch.arange(side)] * 3, indexing="ij"), -1) + 0.5) / side - 0.5
    rotation = rotation_6d_to_matrix(denormalise_rotation_6d(batch["6drotation_normalized"][number]))
    points = centers[batch["distances"][number] < 0]
    return points @ rotation * batch["scale"][number].exp() + batch["translation"][number]


def test_a_mirrored_sample_stands_where_the_mirrored_photo_shows_it(run):
    batch = next(run.shards().batches(GEOMETRY_SAMPLES, 8))
    changed = mirrored(batch, rng())
    turned = [number for number in range(8) if (changed["mask"][number] != batch["mask"][number]).any()]
    assert 2 <= len(turned) <= 7
    for number in range(8):
        flips = number in turned
        for name in ("image", "rgb_image", "mask", "rgb_image_mask"):
            expected = batch[name][number].flip(-1) if flips else batch[name][number]
            assert torch.equal(changed[name][number], expected)
        x, same_x = changed["pointmap"][number, 0], batch["pointmap"][number, 0]
        assert torch.equal((-x.flip(-1) if flips else x).nan_to_num(7.0), same_x.nan_to_num(7.0))
        mirror = torch.tensor([-1.0, 1.0, 1.0]) if flips else torch.ones(3)
        there, here = posed_solid(changed, number) * mirror, posed_solid(batch, number)
        apart = torch.cdist(there, here, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        assert apart.max() < 1e-4


def test_the_geometry_model_is_shown_some_samples_in_a_mirror(run):
    run = replace(run, recipe=replace(run.recipe, batch=16))
    everything = [next(Shards.arrays(shards)) for shards in (run.shards(), run.estimated_shards())]
    stored = [{mask.tobytes() for mask in arrays["rgb_image_mask"]} for arrays in everything]
    shown = next(geometry_batches(run))["rgb_image_mask"].numpy()
    # Each sample is a stored one or its mirror image, and three eighths of them are estimated ones.
    plain = [[mask.tobytes() in known for mask in shown] for known in stored]
    turned = [[mask[..., ::-1].tobytes() in known for mask in shown] for known in stored]
    mirrored_ones = sum(any(pair) for pair in zip(*turned, strict=True))
    assert 4 <= mirrored_ones <= 12
    found = [sum(a or b for a, b in zip(*pair, strict=True)) for pair in zip(plain, turned, strict=True)]
    assert found == [10, 6]


def test_an_object_without_like_sides_is_not_mirrored(run):
    batch = next(run.shards().batches(GEOMETRY_SAMPLES, 4))
    corner = torch.ones_like(batch["distances"])
    corner[:, :8, :8] = -1
    changed = mirrored(batch | {"distances": corner}, rng())
    assert all(
        torch.equal(changed[name], value) for name, value in batch.items() if name in ("image", "mask")
    )


def shard(folder, kinds, visible) -> None:
    count = len(kinds)
    samples = [
        {
            "number": np.array(n),
            "kind": np.array(kinds[n]),
            "visible_fraction": np.float32(visible[n]),
        }
        for n in range(count)
    ]
    save_shard(folder / "shard-0-00000.npz", samples)


def test_a_stage_sees_only_the_samples_of_its_selection(tmp_path):
    shard(tmp_path, ["ground", "isolated", "ground", "pasted"], [0.9, 1.0, 0.3, 0.8])

    def seen(selection: Selection) -> set[int]:
        batches = Shards(tmp_path, 0).batches(("number",), 1, selection)
        return {next(batches)["number"].item() for _ in range(40)}

    assert seen(Selection()) == {0, 1, 2, 3}
    assert seen(Selection(("ground",))) == {0, 2}
    assert seen(Selection(least_visible=0.5)) == {0, 1, 3}
    with pytest.raises(UserError, match="holds 0 samples of the 1 that a batch"):
        seen(Selection(("isolated",), least_visible=1.1))


def test_data_that_does_not_tell_its_kinds_is_refused_where_they_matter(tmp_path):
    np.savez(tmp_path / "shard-0-00000.npz", number=np.arange(4), visible_fraction=np.ones(4))
    assert len(next(Shards(tmp_path, 0).batches(("number",), 4))["number"]) == 4
    with pytest.raises(UserError, match="does not say of what kind"):
        next(Shards(tmp_path, 0).batches(("number",), 4, Selection(("ground",))))


def test_several_processes_write_the_same_data_and_say_how_fast(tmp_path, capsys):
    sizes = SampleSizes(photos=((64, 64),))
    for name, workers in (("one", 1), ("two", 2)):
        write_shards(tmp_path / name, 5, 2, 2, ("crate",), sizes, workers)
        assert capsys.readouterr().out.count("objects/s") == 2
    for path in sorted((tmp_path / "one").iterdir()):
        with np.load(path) as first, np.load(tmp_path / "two" / path.name) as second:
            assert sorted(first.files) == sorted(second.files)
            for name in first.files:
                np.testing.assert_array_equal(first[name], second[name])


def test_most_point_maps_are_trained_on_as_they_are():
    count = 2000
    points = torch.randn(count, 3, 8, 8, generator=rng()).half()
    blank = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    batch = dict.fromkeys((*PICTURES, *MASKS), blank) | dict.fromkeys(MAPS, points)
    inputs = embedder_inputs(batch, rng())
    exact = [(inputs[name] == points.float()).flatten(1).all(1) for name in MAPS]
    assert torch.equal(*exact)
    assert exact[0].float().mean().item() == pytest.approx(1 - DISTURBED, abs=0.04)
