"""One loop for every stage: AdamW, warm-up and cosine decay, moving average of the weights, resume.

A stage's folder holds `last.pt` (weights, average, optimiser, step), written atomically, and `log.jsonl`
with one line per report. A killed run goes on from `last.pt`.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

Loss = Callable[[object], tuple[Tensor, dict[str, float]]]
"""A batch to its loss and the figures to watch."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage learns. The paper trains with AdamW without weight decay."""

    steps: int
    learning_rate: float
    warmup: int = 100
    ema: float = 0.998
    clip: float = 1.0
    report_every: int = 50
    save_every: int = 100


def rate_factor(step: int, schedule: Schedule) -> float:
    """Linear warm-up, then a half cosine down to 2 % of the learning rate."""
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(model: nn.Module, loss: Loss, batches: Iterator, schedule: Schedule, folder: Path) -> None:
    """Train to `schedule.steps`, going on from `folder/last.pt`; leaves the average in `folder/average.pt`.

    A step whose loss is not finite is skipped and named in the log; a hundred in a row raise ValueError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = parameter_groups(model)
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    step, bad = _resume(folder / "last.pt", model, average, optimizer), 0
    started, sums, seen = time.monotonic(), {}, 0
    while step < schedule.steps:
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * group["rate"] * rate_factor(step, schedule)
        value, figures = loss(next(batches))
        step += 1
        if not torch.isfinite(value):
            bad += 1
            _log(folder, {"step": step, "skipped": "loss is not finite"})
            if bad == 100:
                raise ValueError(
                    f"{folder.name}: the loss has not been finite for 100 steps; lower the learning rate."
                )
            continue
        bad = 0
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        _update_average(average, model, min(schedule.ema, (1 + step) / (10 + step)))
        for name, figure in {"loss": value.item(), **figures}.items():
            sums[name] = sums.get(name, 0.0) + figure
        seen += 1
        if step % schedule.report_every == 0 or step == schedule.steps:
            rate = seen / (time.monotonic() - started)
            means = {name: round(total / seen, 5) for name, total in sums.items()}
            _log(folder, {"step": step, **means, "steps_per_s": round(rate, 3)})
            started, sums, seen = time.monotonic(), {}, 0
        if step % schedule.save_every == 0 or step == schedule.steps:
            _save(folder / "last.pt", {"model": model.state_dict(), "average": average,
                                       "optimizer": optimizer.state_dict(), "step": step})  # fmt: skip
            _save(folder / "average.pt", average)


def parameter_groups(model: nn.Module) -> list[dict]:
    """All parameters, patch embeddings at a tenth of the rate.

    The pixels of a patch go up and down together, so equal steps on all their weights add up: at the full
    rate the embedding of a small transformer explodes within a few hundred steps, and nobody listens to it.
    """
    named = list(model.named_parameters())
    slow = [parameter for name, parameter in named if "patch_embed" in name]
    others = [parameter for name, parameter in named if "patch_embed" not in name]
    return [{"params": others, "rate": 1.0}, {"params": slow, "rate": 0.1}]


def load_average(model: nn.Module, folder: Path) -> nn.Module:
    """The trained model of a stage: its moving average, strictly."""
    model.load_state_dict(torch.load(folder / "average.pt", weights_only=True))
    return model.eval()


@torch.no_grad()
def _update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for key, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)


def _resume(path: Path, model: nn.Module, average: dict[str, Tensor], optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for key, value in state["average"].items():
        average[key].copy_(value)
    return state["step"]


def _save(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _log(folder: Path, line: dict) -> None:
    text = json.dumps(line)
    print(f"{folder.name}: {text}", flush=True)
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(text + "\n")
