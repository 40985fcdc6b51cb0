"""One loop for every stage: AdamW or Muon, warm-up and cosine decay, moving average of the weights, resume.

A stage's folder holds `last.pt` (weights, average, optimisers, step), written atomically, and `log.jsonl`
with one line per report. A killed run goes on from `last.pt`, and so does its log.
"""

import json
import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vendor_model.checkpoints.files import check_fit
from vendor_model.errors import CheckpointError, UserError
from vendor_model.moving import move
from vendor_model.training import distributed
from vendor_model.training.cuda_graphs import captured
from vendor_model.training.muon import Muon

Figures = dict[str, Tensor]
"""What to watch of a batch, () each, by name."""

Loss = Callable[[Any], tuple[Tensor, Figures]]
"""A batch to its loss and its figures."""

WARM_UP = 3
"""Updates after which a GPU is told the rest at once: what is captured must have its memory by then."""

MOST_SKIPPED = 100
"""Steps in a row that may fail before the training is given up."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage learns. The paper trains with AdamW without weight decay.

    final: share of the learning rate that it ends with; 1 for a stage from which another goes on at once.
    accumulate: batches whose gradients make one step, where memory holds no larger batch. muon: the matrices
    and picture kernels of blocks learn by Muon (Jordan et al. 2024), the rest by AdamW.
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    final: float = 0.02
    ema: float = 0.998
    clip: float = 1.0
    accumulate: int = 1
    muon: bool = False
    report_every: int = 50
    save_every: int = 100


def rate_factor(step: int, schedule: Schedule) -> float:
    """Linear warm-up, then a half cosine down to the final share of the learning rate."""
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    falling = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return schedule.final + (1 - schedule.final) * falling


def train(
    model: nn.Module,
    loss: Loss,
    batches: Iterator,
    schedule: Schedule,
    folder: Path,
    alike: torch.Generator | None = None,
    settings: str = "",
) -> None:
    """Train to `schedule.steps`, going on from `folder/last.pt`; leaves the average in `folder/average.pt`.

    Batches come to the model's device. A step whose loss or gradient is not finite is skipped and named in
    the log. alike: the loss's generator, where all of its steps do the same with dicts of equal shapes, and
    none waits for the device: then one GPU alone runs them as CUDA graphs. settings: what the model is known
    by beside its shapes. Raises UserError after a hundred steps in a row that failed, CheckpointError when
    `last.pt` is damaged or of another configuration.
    """
    device = next(model.parameters()).device
    graphs = alike is not None and device.type == "cuda" and distributed.processes() == 1
    # What is captured must have run on the same stream before, which cannot be the default one.
    with torch.cuda.stream(torch.cuda.Stream()) if graphs else nullcontext():
        _train(model, loss, batches, schedule, folder, alike if graphs else None, settings)


def _train(
    model: nn.Module,
    loss: Loss,
    batches: Iterator,
    schedule: Schedule,
    folder: Path,
    alike: torch.Generator | None,
    settings: str,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    optimizers = make_optimizers(model, schedule)
    weights = model.state_dict()
    average = {key: value.clone() for key, value in weights.items()}
    step, bad = _resume(folder / "last.pt", model, average, optimizers, settings), 0
    _forget_reports(folder / "log.jsonl", step)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    distributed.share_weights(model)
    gradients, update = partial(_gradients, model, loss, schedule.clip), partial(_update, optimizers)
    started, sums, seen, updates = time.monotonic(), {}, 0, 0
    while step < schedule.steps:
        drawn = [to_device(next(batches), device) for _ in range(schedule.accumulate)]
        if alike is not None and updates == WARM_UP:
            gradients, update = captured(gradients, drawn, alike), captured(update, (), alike)
            alike = None
        figures = gradients(*drawn)
        step += 1
        if distributed.everywhere(torch.isfinite(figures["gradient"]) & torch.isfinite(figures["loss"])):
            for group in groups:
                _set_rate(group, schedule.learning_rate * group["rate"] * rate_factor(step - 1, schedule))
            update()
            _update_average(average, weights, min(schedule.ema, (1 + step) / (10 + step)))
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + figure
            seen, updates, bad = seen + 1, updates + 1, 0
        else:
            bad += 1
            _log(folder, {"step": step, "skipped": "loss or gradient is not finite"})
        if bad == MOST_SKIPPED:
            raise UserError(
                f"The loss of {folder.name} has not been finite for {bad} steps: "
                "lower its learning rate, or look for broken samples."
            )
        last = step == schedule.steps
        if seen and (last or step % schedule.report_every == 0):
            rate = seen / (time.monotonic() - started)
            means = {name: round(float(total) / seen, 5) for name, total in sums.items()}
            _log(folder, {"step": step, **means, "steps_per_s": round(rate, 3)})
            started, sums, seen = time.monotonic(), {}, 0
        if (last or step % schedule.save_every == 0) and distributed.rank() == 0:
            states = [optimizer.state_dict() for optimizer in optimizers]
            _save(folder / "average.pt", average)  # first: with the last of last.pt the stage is over
            _save(folder / "last.pt", {"model": weights, "average": average, "optimizers": states,
                                       "settings": settings, "step": step})  # fmt: skip
    distributed.wait()  # until the first process has saved


def _gradients(model: nn.Module, loss: Loss, clip: float, *batches: Any) -> Figures:
    """Leaves the gradients of the batches' mean loss, clipped; returns their mean figures, among them the
    `loss`, and the length of the `gradient` before."""
    model.zero_grad(set_to_none=True)
    figures = {}
    for batch in batches:
        value, parts = loss(batch)
        (value / len(batches)).backward()
        for name, figure in {"loss": value, **parts}.items():
            figures[name] = figures.get(name, 0.0) + figure.detach() / len(batches)
    distributed.average_gradients(model.parameters())
    return figures | {"gradient": nn.utils.clip_grad_norm_(model.parameters(), clip)}


def _update(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    for optimizer in optimizers:
        optimizer.step()


def _set_rate(group: dict, rate: float) -> None:
    """The learning rate of a group of parameters: a tensor where a CUDA graph reads it."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def make_optimizers(model: nn.Module, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """What steps all parameters that learn; each group's `rate` is its factor on the learning rate.

    Patch embeddings learn at a tenth of it: the pixels of a patch go up and down together, so equal steps on
    all their weights add up, and at the full rate the embedding of a small transformer explodes within a few
    hundred steps, and nobody listens to it.
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    slow = [parameter for name, parameter in named.items() if "patch_embed" in name]
    turned = [p for name, p in named.items() if schedule.muon and "blocks." in name and p.ndim in (2, 4)]
    apart = {id(parameter) for parameter in (*slow, *turned)}
    others = [parameter for parameter in named.values() if id(parameter) not in apart]
    groups = [{"params": others, "rate": 1.0}, {"params": slow, "rate": 0.1}]
    device, rate = next(model.parameters()).device, schedule.learning_rate
    on_gpu = device.type == "cuda"
    optimizers = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), weight_decay=0.0, capturable=on_gpu)]
    if turned:
        # Thrice AdamW's length, as no single direction takes more than its share of a step: 250 steps of
        # mini's pretraining left the shape's error at 0.740, with steps as long as AdamW's at 0.759.
        groups = [{"params": turned, "rate": 3.0}]
        optimizers.append(Muon(groups, rate))
    if on_gpu:  # where a CUDA graph reads the rate
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = torch.zeros((), device=device)
    return optimizers


def to_device(batch, device: torch.device):
    """A batch with all of its tensors on the device: a tensor, or a dict, tuple or dataclass of such."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(to_device(value, device) for value in batch)
    if is_dataclass(batch):
        moved = {field.name: to_device(getattr(batch, field.name), device) for field in fields(batch)}
        return replace(batch, **moved)
    return batch


def load_average(model: nn.Module, folder: Path) -> nn.Module:
    """The trained model of a stage: its moving average, strictly; of a ModuleDict those modules that it has,
    whatever else the stage trained. Raises CheckpointError, also for a stage that has not been trained."""
    state = read_state(folder / "average.pt")
    if isinstance(model, nn.ModuleDict):
        state = {key: value for key, value in state.items() if key.partition(".")[0] in model}
    check_fit({key: tuple(value.shape) for key, value in state.items()}, model, folder / "average.pt")
    model.load_state_dict(state)
    return model.eval()


def saved_step(folder: Path) -> int | None:
    """The step that a stage goes on from; None before its first checkpoint. Raises CheckpointError."""
    path = folder / "last.pt"
    return read_state(path, mapped=True)["step"] if path.exists() else None


def read_state(path: Path, mapped: bool = False) -> dict:
    """What a stage saved, on the CPU. mapped: left in the file, which must then not be replaced. Raises
    CheckpointError when there is nothing or it is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: run the stage {path.parent.name} of the training first."
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is no complete checkpoint ({error}): delete it, and the stage begins anew."
        ) from None


def _update_average(average: dict[str, Tensor], weights: dict[str, Tensor], decay: float) -> None:
    moving = [key for key, value in average.items() if value.dtype.is_floating_point]
    follow = get_ema_multi_avg_fn(decay)  # all at once: a GPU takes longer to be told than to do it
    follow([average[key] for key in moving], [weights[key] for key in moving], 0)
    for key in average.keys() - set(moving):
        average[key].copy_(weights[key])


def _resume(path: Path, model: nn.Module, average: dict[str, Tensor], optimizers: list, settings: str) -> int:
    if not path.exists():
        return 0
    state = read_state(path)
    if state.get("settings", settings) != settings:
        raise CheckpointError(
            f"{path} was trained with other settings of the networks: put those of its yaml files back, "
            "or delete it, and the stage begins anew."
        )
    check_fit({key: tuple(value.shape) for key, value in state["model"].items()}, model, path)
    model.load_state_dict(state["model"])
    try:
        for optimizer, saved in zip(optimizers, state.get("optimizers", ()), strict=True):
            optimizer.load_state_dict(saved | {"param_groups": _of_this_device(saved, optimizer)})
    except ValueError:
        raise CheckpointError(
            f"{path} was trained with another optimiser: delete it, and the stage begins anew."
        ) from None
    for key, value in state["average"].items():
        average[key].copy_(value)
    return state["step"]


def _of_this_device(saved: dict, optimizer: torch.optim.Optimizer) -> list[dict]:
    """The groups that an optimiser saved, maybe on another device, with the settings that this one needs."""
    pairs = zip(saved["param_groups"], optimizer.param_groups, strict=True)
    return [then | {key: now[key] for key in ("lr", "capturable") if key in now} for then, now in pairs]


def _save(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    move(partial, path)


def _forget_reports(path: Path, step: int) -> None:
    """Take out of the log what comes after a step: it will be trained once more."""
    if distributed.rank() or not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(kept), encoding="utf-8")
    move(partial, path)


def _log(folder: Path, line: dict) -> None:
    if distributed.rank():
        return
    text = json.dumps(line)
    print(f"{folder.name}: {text}", flush=True)
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(text + "\n")
