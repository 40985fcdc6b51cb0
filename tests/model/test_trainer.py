"""The loop that trains every stage: what it steps, how it stops, goes on and gives up."""

import json
import math
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import nn

from vendor_model.errors import CheckpointError, UserError
from vendor_model.training import distributed, trainer
from vendor_model.training.trainer import (
    Schedule,
    make_optimizers,
    rate_factor,
    read_state,
    saved_step,
    train,
)

ROOT = Path(__file__).parents[2]


def learn(folder, steps=4, width=1, data=None, settings="", **options) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Linear(width, 1)
    schedule = Schedule(steps, 0.1, warmup=1, report_every=1, save_every=1, **options)
    batches = iter(data if data is not None else [torch.ones(4, width)] * 200)

    def loss(x):
        return (model(x) - 3).square().mean(), {}

    train(model, loss, batches, schedule, folder, settings=settings)
    return model


def test_the_rate_warms_up_and_falls_to_its_final_share_or_stays():
    falling = Schedule(110, 1.0, warmup=10)
    assert [rate_factor(step, falling) for step in (0, 9, 10)] == pytest.approx([0.1, 1, 1])
    assert rate_factor(60, falling) == pytest.approx(0.51) and rate_factor(110, falling) == pytest.approx(
        0.02
    )
    staying = Schedule(110, 1.0, warmup=10, final=1.0)
    assert {rate_factor(step, staying) for step in range(9, 111)} == {1.0}


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    halves = [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])] * 3
    wholes = [torch.tensor([[1.0], [2.0], [3.0], [5.0]])] * 3
    apart, together = (
        learn(tmp_path / "a", 3, data=halves, accumulate=2),
        learn(tmp_path / "b", 3, data=wholes),
    )
    assert torch.allclose(apart.weight, together.weight) and torch.allclose(apart.bias, together.bias)


def test_a_checkpoint_of_another_configuration_or_a_damaged_one_is_named(tmp_path):
    learn(tmp_path / "stage")
    with pytest.raises(CheckpointError, match=r"last.pt does not fit its configuration \(1 tensors differ"):
        learn(tmp_path / "stage", width=2)
    learn(tmp_path / "heads", 2, settings="num_heads: 4")
    with pytest.raises(CheckpointError, match=r"last\.pt was trained with other settings"):
        learn(tmp_path / "heads", settings="num_heads: 2")
    learn(tmp_path / "heads", settings="num_heads: 4")
    assert saved_step(tmp_path / "heads") == 4
    path = tmp_path / "stage" / "last.pt"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(CheckpointError, match=r"last\.pt is no complete checkpoint"):
        learn(tmp_path / "stage")


def test_the_average_follows_the_weights_by_its_rate(tmp_path):
    weights = []
    model = nn.Linear(1, 1, bias=False)

    def loss(x):
        weights.append(model.weight.item())
        return (model(x) - 3).square().mean(), {}

    train(model, loss, iter(torch.ones(9, 4, 1)), Schedule(3, 0.1, warmup=1, ema=0.25), tmp_path)
    average = weights[0]
    for step, weight in enumerate([*weights[1:], model.weight.item()], start=1):
        kept = min(0.25, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * weight
    saved = read_state(tmp_path / "average.pt")["weight"].item()
    assert saved == pytest.approx(average, abs=1e-5) != pytest.approx(model.weight.item(), abs=1e-4)


LEARNING = """
import sys, time, torch
from pathlib import Path
from vendor_model.training.trainer import Schedule, train
torch.manual_seed(0)
model = torch.nn.Linear(1, 1)
def loss(x):
    time.sleep(0.01)
    return (model(x) - 3).square().mean(), {}
schedule = Schedule(9999, 0.1, report_every=1, save_every=3)
train(model, loss, iter(torch.ones(9999, 4, 1)), schedule, Path(sys.argv[1]))
"""


def test_a_training_that_the_system_kills_goes_on_with_its_log(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", LEARNING, str(tmp_path)], cwd=ROOT)
    for _ in range(2400):
        if (saved_step(tmp_path) or 0) >= 6:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 9998, "lo')  # as killed while it wrote
    begun = saved_step(tmp_path)
    learn(tmp_path, begun + 2)
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert 6 <= begun < 9999 and steps == list(range(1, begun + 3))


def test_a_training_that_began_on_a_gpu_goes_on_on_the_cpu(tmp_path):
    learn(tmp_path / "stage", 2)
    state = read_state(tmp_path / "stage" / "last.pt")
    [group, _] = state["optimizers"][0]["param_groups"]
    group |= {"capturable": True, "lr": torch.tensor(9.0)}
    torch.save(state, tmp_path / "stage" / "last.pt")
    moved, stayed = learn(tmp_path / "stage", 4), learn(tmp_path / "alone", 4)
    assert torch.allclose(moved.weight, stayed.weight)


def test_a_gpu_is_told_of_all_steps_at_once_only_after_updates_that_were_made(tmp_path, monkeypatch):
    """Before them the optimisers have no memory, and what is captured would begin with none at every step."""
    steps, told = [], []

    def recorded(work, batches, rng):
        told.append((len(steps), len(batches)))
        return work

    monkeypatch.setattr(trainer, "captured", recorded)
    model = nn.Linear(1, 1)

    def loss(batch):
        steps.append(batch)
        return (model(batch["x"]) - 3).square().mean(), {}

    values = [math.nan, 1.0, math.nan, 1.0, 1.0, 1.0, 1.0]
    batches = ({"x": torch.full((2, 1), value)} for value in values)
    trainer._train(model, loss, batches, Schedule(7, 0.1), tmp_path, torch.Generator(), "")
    assert told == [(5, 1), (5, 0)]  # five steps, three of them updates; the gradients, then the update


@pytest.mark.skipif(not torch.cuda.is_available(), reason="captures a CUDA graph")
def test_a_gpu_told_of_all_steps_at_once_does_what_it_does_step_by_step(tmp_path):
    def learnt(folder: str, alike: bool) -> nn.Module:
        torch.manual_seed(0)
        model = nn.ModuleDict({"blocks": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))}).cuda()
        rng = torch.Generator("cuda").manual_seed(0)
        schedule = Schedule(12, 0.01, warmup=1, muon=True)

        def loss(batch):
            noise = torch.randn(batch["x"].shape, generator=rng, device="cuda")
            error = (model["blocks"](batch["x"] + noise) - 3).square().mean()
            return error, {"error": error}

        batches = ({"x": torch.full((8, 4), float(number))} for number in range(100))
        train(model, loss, batches, schedule, tmp_path / folder, rng if alike else None)
        return model

    for one, other in zip(learnt("a", True).parameters(), learnt("b", False).parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_a_training_that_never_is_finite_ends_in_words(tmp_path):
    with pytest.raises(UserError, match="not been finite for 100 steps"):
        learn(tmp_path / "stage", 150, data=[torch.full((1, 1), math.nan)] * 150)


def test_patch_embeddings_learn_at_a_tenth_of_the_rate_and_frozen_parts_not_at_all():
    model = nn.ModuleDict(
        {"patch_embed": nn.Linear(2, 2), "head": nn.Linear(2, 2), "frozen": nn.Linear(2, 2)}
    )
    model["frozen"].requires_grad_(False)
    [optimizer] = make_optimizers(model, Schedule(1, 1e-3))
    fast, slow = optimizer.param_groups
    assert (fast["rate"], slow["rate"]) == (1.0, 0.1)
    assert {id(p) for p in slow["params"]} == {id(p) for p in model["patch_embed"].parameters()}
    assert {id(p) for p in fast["params"]} == {id(p) for p in model["head"].parameters()}


def test_a_training_by_muon_goes_on_as_if_it_had_not_stopped_and_not_by_another_optimiser(tmp_path):
    def blocks(steps: int, folder: str, muon: bool = True) -> nn.Module:
        torch.manual_seed(0)
        model = nn.ModuleDict({"blocks": nn.Sequential(nn.Linear(2, 2))})
        schedule = Schedule(steps, 0.1, warmup=9, report_every=1, save_every=1, muon=muon)
        batches = iter([torch.tensor([[1.0, 2.0]])] * 9)
        train(model, lambda x: (model["blocks"](x).square().sum(), {}), batches, schedule, tmp_path / folder)
        return model

    blocks(2, "stopped")
    whole, resumed = blocks(4, "whole"), blocks(4, "stopped")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key])
    with pytest.raises(CheckpointError, match=r"last\.pt was trained with another optimiser"):
        blocks(5, "whole", muon=False)
    saved = torch.load(tmp_path / "stopped" / "last.pt", weights_only=True)
    saved["optimizers"][1]["param_groups"][0]["params"] = []  # as when Muon turned fewer weights
    torch.save(saved, tmp_path / "stopped" / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt was trained with another optimiser"):
        blocks(5, "stopped")


def one_of_two(rank: int, folder) -> None:
    """A process of two, each with a half of the data and weights of its own to begin with."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    halves = [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])]
    model = learn(folder / "run" if rank == 0 else folder / "other", 3, data=[halves[rank]] * 3)
    assert distributed.rank() == rank and not (folder / "other" / "log.jsonl").exists()
    torch.save(model.state_dict(), folder / f"{rank}.pt")


def test_two_processes_learn_what_one_learns_from_the_whole_batch(tmp_path):
    multiprocessing.start_processes(partial(one_of_two, folder=tmp_path), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = learn(tmp_path / "alone", 3, data=[torch.tensor([[1.0], [2.0], [3.0], [5.0]])] * 3).state_dict()
    for key, value in alone.items():
        assert torch.equal(first[key], second[key]) and torch.allclose(first[key], value)
