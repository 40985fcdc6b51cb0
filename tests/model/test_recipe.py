"""The stages of the geometry model's training: their objectives, their data, how they stop and go on."""

import json
import math
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

pytest.importorskip("numba")

from vendor_model.__main__ import MINI as EMBEDDED
from vendor_model.errors import CheckpointError, UserError
from vendor_model.training import __main__ as command
from vendor_model.training import geometry_stages, shape_stages, shortcut_stage
from vendor_model.training.geometry_model import (
    geometry_batches,
    geometry_parts,
    true_latents,
    voxel_decoder_of,
)
from vendor_model.training.geometry_stages import OBJECTIVES, code_overlap
from vendor_model.training.objectives import preference_loss, shortcut_draws, shortcut_target, soft_overlap
from vendor_model.training.preference_stage import ranked_pair
from vendor_model.training.recipe import MINI, PAPER, Phase, Run
from vendor_model.training.samples import distances_of
from vendor_model.training.shape_latent import ShapeCode
from vendor_model.training.shards import EVERYTHING, Shards
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


OWN_POINTS = Phase(None, estimated=0.0)
"""All scenes, none of them as a depth model sees it."""


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


def test_a_stage_that_goes_on_draws_new_samples(run, tmp_path):
    run = replace(run, runs=tmp_path)
    assert run.going_on("pretraining") == run
    (tmp_path / "pretraining").mkdir()
    torch.save({"step": 7}, tmp_path / "pretraining" / "last.pt")
    later = run.going_on("pretraining")
    assert later.begun == 7 and run.going_on("render_paste").begun == 0
    for drawn in (Run.rng, lambda run: torch.Generator().manual_seed(run.common_seed(0))):
        first, second = (torch.randn(4, generator=drawn(one)) for one in (run, later))
        assert not torch.equal(first, second)
        assert torch.equal(second, torch.randn(4, generator=drawn(run.going_on("pretraining"))))
    orders = [one.shards().rng.permutation(99).tolist() for one in (run, later)]
    assert orders[0] != orders[1]


def test_the_command_lets_each_stage_go_on(monkeypatch, tmp_path):
    (tmp_path / "depth").mkdir()
    torch.save({"step": 7}, tmp_path / "depth" / "last.pt")
    begun = []
    for name in ("depth", "surface"):
        monkeypatch.setitem(STAGES, name, lambda run: begun.append(run.begun))
    monkeypatch.setattr(sys, "argv", ["training", "depth", "surface", "--runs", str(tmp_path)])
    command.main()
    assert begun == [7, 0]


def test_new_networks_are_drawn_by_the_seed(run):
    torch.manual_seed(1)
    first = run.module("ss_decoder").input_layer.weight
    torch.manual_seed(2)
    assert torch.equal(first, run.module("ss_decoder").input_layer.weight)
    assert torch.equal(torch.randn(3), torch.randn(3, generator=torch.Generator().manual_seed(2)))
    assert not torch.equal(first, replace(run, seed=1).module("ss_decoder").input_layer.weight)


def test_a_stage_that_is_used_before_its_end_is_named(run, tmp_path, capsys):
    run, network = replace(run, runs=tmp_path), nn.Linear(2, 2)
    folder = tmp_path / "depth"
    folder.mkdir()
    torch.save(network.state_dict(), folder / "average.pt")
    for step in (1, 2):  # of 2
        torch.save({"step": step}, folder / "last.pt")
        run.trained(nn.Linear(2, 2), "depth")
    assert capsys.readouterr().out == "depth is used as it is at step 1 of 2.\n"


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


def test_a_distilled_model_misses_its_condition_as_often_as_it_did_before(run, monkeypatch, tmp_path):
    """What guidance takes away must be learnt at the steps that it is told of, too."""
    seen, velocity = [], shortcut_stage.geometry_velocity
    monkeypatch.setattr(
        shortcut_stage,
        "geometry_velocity",
        lambda run, parts, inputs, shown: seen.append(shown) or velocity(run, parts, inputs, shown),
    )
    last = list(run.recipe.phases)[-1]
    phases = {
        **run.recipe.phases,
        last: replace(run.recipe.phases[last], unconditional=1.0, point_map_drop=0.0),
    }
    parts = nn.ModuleDict({name: run.module(name) for name in ("ss_condition_embedder", "ss_flow")})
    monkeypatch.setattr(shortcut_stage, "geometry_parts", lambda *_: parts)
    recipe = replace(run.recipe, phases=phases)
    STAGES["shortcut"](replace(run, runs=copy_of_code(run, tmp_path), recipe=recipe))
    assert [len(shown.condition) for shown in seen[:2]] == [3, 1]  # of 4, a quarter for long steps
    assert not any(shown.condition.any() for shown in seen) and all(shown.point_map.all() for shown in seen)


def test_the_voxel_decoder_is_tuned_on_what_the_model_samples(run, monkeypatch, tmp_path):
    """A distilled one in four steps, each told its length."""
    folder = shutil.copytree(run.model, tmp_path / "model")
    text = (folder / "pipeline.yaml").read_text().replace("ss_inference_steps: 1", "ss_inference_steps: 4")
    (folder / "pipeline.yaml").write_text(text + "use_stage1_distillation: true\n")
    parts = geometry_parts(run)
    monkeypatch.setattr(shape_stages, "geometry_parts", lambda *_: parts)
    monkeypatch.setattr(shape_stages, "voxel_decoder_of", lambda *_: parts_of_decoder(run))
    told = []

    def velocity(*_):
        return lambda x, time, step: told.append((time.item(), step.item())) or x

    monkeypatch.setattr(shape_stages, "geometry_velocity", velocity)
    recipe = replace(run.recipe, schedules={"voxel_tuning": Schedule(1, 1e-3)})
    STAGES["voxel_tuning"](replace(run, model=folder, runs=copy_of_code(run, tmp_path), recipe=recipe))
    assert told == [(0.0, 0.25), (0.25, 0.25), (0.5, 0.25), (0.75, 0.25)]


def parts_of_decoder(run: Run) -> nn.ModuleDict:
    return nn.ModuleDict({"ss_decoder": run.module("ss_decoder")})


def copy_of_code(run: Run, folder: Path) -> Path:
    """A runs folder of its own, with the data and the shape code of another."""
    runs = folder / "runs"
    runs.mkdir()
    shutil.copy(run.runs / "shape_code.npz", runs)
    for name in ("data", "estimated"):
        shutil.copytree(run.runs / name, runs / name)
    return runs


def test_the_voxel_decoder_is_tuned_on_the_codes_of_the_geometry_model(run, monkeypatch):
    monkeypatch.setattr(shape_stages, "geometry_batches", lambda run: geometry_batches(run, OWN_POINTS))
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
    loss = OBJECTIVES["regression"](run, phase, parts, run.rng())
    value, figures = loss(batch)
    assert value - (1 - figures["code_overlap"]) < 1e-3  # the code is computed in bfloat16
    [(latents, times)] = seen
    assert not times.any()
    noisy = {name: value.abs().sum((1, 2)) > 0 for name, value in latents.items()}
    assert 1 <= noisy["shape"].sum() <= 8
    assert all(torch.equal(rows, noisy["shape"]) for rows in noisy.values())
    half, worse = loss(batch)
    assert half > value + 0.1 and worse["shape"] > 0.05
    assert worse["code_overlap"] < figures["code_overlap"] - 0.05


def test_the_overlap_of_codes_is_that_of_their_solids_and_teaches_them(run):
    batch, code = next(geometry_batches(run)), run.shape_code()
    exact = ShapeCode(torch.zeros(512), torch.eye(512), torch.ones(512))  # leaves nothing out
    truth = exact.encode(distances_of(batch["distances"]))
    assert code_overlap(exact, truth, batch) > 0.8
    assert code_overlap(exact, -truth, batch) < 0.1
    guess = code.encode(distances_of(batch["distances"])).mean(0, keepdim=True).repeat(4, 1, 1)
    before = code_overlap(code, guess.requires_grad_(), batch)
    before.backward()
    assert code_overlap(code, guess.detach() + 10 * guess.grad, batch) > before


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
    monkeypatch.setattr(geometry_stages, "code_overlap", lambda code, tokens, batch: torch.zeros(()))
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


def depth_parts(run):
    return nn.ModuleDict({"depth_model": run.module("depth_model")})


def test_a_stage_that_was_not_trained_is_named(run):
    with pytest.raises(CheckpointError, match="run the stage nothing of the training first"):
        geometry_parts(run, "nothing")


@pytest.mark.parametrize(
    "model, dimensions, among_them",
    [(geometry_parts, {2}, "self_attn"), (depth_parts, {2, 4}, "upsample_blocks.0.1.layers.2.weight")],
)
def test_muon_turns_the_matrices_and_picture_kernels_of_blocks_and_nothing_else(
    run, model, dimensions, among_them
):
    parts = model(run)
    adam, muon = make_optimizers(parts, Schedule(1, 1e-3, muon=True))
    [turned] = muon.param_groups
    names = {id(parameter): name for name, parameter in parts.named_parameters()}
    assert all("blocks." in names[id(p)] for p in turned["params"])
    assert {p.ndim for p in turned["params"]} == dimensions
    assert any(among_them in names[id(p)] for p in turned["params"])
    stepped = [
        id(p) for optimizer in (adam, muon) for group in optimizer.param_groups for p in group["params"]
    ]
    assert sorted(stepped) == sorted(id(p) for p in parts.parameters() if p.requires_grad)


def test_a_missing_or_damaged_shape_code_is_named(tmp_path):
    run = Run(EMBEDDED, tmp_path, MINI)
    for content in (None, b"", b"no archive"):
        if content is not None:
            (tmp_path / "shape_code.npz").write_bytes(content)
        with pytest.raises(
            CheckpointError, match=r"shape_code\.npz cannot be read .* run the stage shape_code"
        ):
            run.shape_code()


def test_a_stage_does_not_go_on_with_other_settings_of_the_networks(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    run = Run(folder, tmp_path / "runs", replace(MINI, schedules={"depth": Schedule(1, 0.1)}))
    model = nn.Linear(1, 1)

    def go_on():
        run.train("depth", model, lambda x: (model(x).square().mean(), {}), iter(torch.ones(9, 4, 1)))

    def change(name: str, old: str, new: str):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    go_on()
    change("pipeline.yaml", "ss_inference_steps: 1", "ss_inference_steps: 4")
    go_on()
    change("ss_generator.yaml", "num_heads: 4", "num_heads: 2")
    with pytest.raises(CheckpointError, match="other settings of the networks"):
        go_on()
