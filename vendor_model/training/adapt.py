"""`python -m vendor_model.training.adapt SCENES… --model MODEL --output FOLDER`: teach one's own objects.

Its shapes and poses are fine-tuned on scenes with known truth, in low rank (LoRA) or, with `--rank 0`, in
all weights of the flow model. It goes on where it was stopped, from `--runs`. The output is a model folder
like the one it began with.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vendor_model import checkpoints
from vendor_model.checkpoints.files import WeightsFile
from vendor_model.device import choose_device
from vendor_model.errors import UserError, exit_in_words
from vendor_model.evaluation.scenes import known_photos, scene_folders
from vendor_model.moving import move
from vendor_model.training import distributed
from vendor_model.training.geometry_model import (
    drawn_seen,
    geometry_velocity,
)
from vendor_model.training.low_rank import add_low_rank, merge_low_rank
from vendor_model.training.objectives import flow_matching, sample_times
from vendor_model.training.own_data import scene_samples
from vendor_model.training.recipe import LAYOUT, MINI, Run
from vendor_model.training.samples import INPUTS, POSE_LATENTS, plain_inputs
from vendor_model.training.shards import save_shard
from vendor_model.training.trainer import Figures, Schedule, load_average, train

STAGE, PARTS = "adaptation", ("ss_condition_embedder", "ss_flow")


POINT_MAP_DROP, UNCONDITIONAL = 0.1, 0.1
"""Shares of samples without point map and without any condition, as large as the release's."""


def write_samples(run: Run, scenes: Sequence[Path], rank: int) -> None:
    """The objects of all scenes, one file a photo; those that were written before are kept. Raises UserError
    where they, or the checkpoint beside them, are those of other scenes, of another model or rank."""
    folder, source = run.runs / "data", run.runs / "source.json"
    found = [str(path.resolve()) for path in scene_folders(scenes)]
    made_of = json.dumps({"model": str(run.model.resolve()), "scenes": found, "rank": rank})
    if source.exists() and source.read_text("utf-8") != made_of:
        raise UserError(
            f"{run.runs} holds an adaptation of another model, to other scenes or of another rank: "
            "name another folder with --runs, or delete it."
        )
    decoder = load(run, "ss_decoder")
    latent_shape = load(run, "ss_flow").latent_mapping["shape"].shape
    folder.mkdir(parents=True, exist_ok=True)
    source.write_text(made_of, "utf-8")  # not before the model is known to be one
    for number, known in enumerate(known_photos(scenes)):
        path = folder / f"shard-own-{number:05d}.npz"
        if path.exists():
            continue
        samples = list(scene_samples(known, run.config, decoder, latent_shape))
        if samples:
            save_shard(path, samples)
        print(f"photo {number + 1}: {len(samples)} objects", flush=True)


def adapt(run: Run, rank: int, batch_size: int, schedule: Schedule) -> nn.ModuleDict:
    """Flow matching on the samples from the weights in `run.model`; returns the adapted networks.

    rank: of the change of each weight of the flow model, 0 for any change. The condition embedder stays as
    it is. Raises CheckpointError and UserError.
    """
    run = run.going_on(STAGE)
    parts = nn.ModuleDict({name: load(run, name) for name in PARTS})
    flow, rng = parts["ss_flow"], run.rng()
    torch.manual_seed(run.own_seed(run.seed))
    learning = add_low_rank(flow, rank) if rank else flow.requires_grad_(True)

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        latents = {"shape": batch["shape"]} | {name: batch[name][:, None] for name in POSE_LATENTS}
        seen = drawn_seen(len(batch["shape"]), UNCONDITIONAL, POINT_MAP_DROP, rng)
        velocity = geometry_velocity(run, parts, plain_inputs(batch), seen)
        times = sample_times(len(batch["shape"]), 0.0, rng)
        return flow_matching(velocity, latents, LAYOUT, times, rng)

    batches = run.shards().batches((*INPUTS, *POSE_LATENTS, "shape"), batch_size)
    train(learning, loss, batches, schedule, run.runs / STAGE)
    load_average(learning, run.runs / STAGE)
    merge_low_rank(flow)
    return parts


def load(run: Run, name: str) -> nn.Module:
    """A module with its weights, in memory of its own, frozen."""
    module = run.module(name)
    loaded = checkpoints.load_module(run.model, run.config, name, run.device, torch.float32)
    module.load_state_dict(loaded.state_dict())
    return module.eval().requires_grad_(False)


def write_model(run: Run, parts: nn.ModuleDict, output: Path) -> None:
    """A copy of the model folder with the adapted networks in place of their old weights, in the same
    precision."""
    shutil.copytree(run.model, output, dirs_exist_ok=True)
    file = run.config.ss_generator_ckpt_path
    path = output / file
    before, tensors = WeightsFile(run.model / file), {}  # not the copy: what is mapped cannot be replaced
    for name, prefix in checkpoints.WEIGHTS["ss_generator"].items():
        for key, value in parts[name].state_dict().items():
            old = before.tensor(prefix + key, None)
            tensors[prefix + key] = value.to(old.dtype).cpu().contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    move(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path, nargs="+", help="folders, see vendor_model/evaluation/scenes.py")
    parser.add_argument("--model", type=Path, required=True, help="model folder to begin with")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")
    parser.add_argument("--runs", type=Path, default=Path("runs/adaptation"), help="samples and checkpoints")
    parser.add_argument("--rank", type=int, default=16, help="of LoRA; 0 trains all weights")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="1e-5 with --rank 0")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--accumulate", type=int, default=6, help="batches for one step")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    options = parser.parse_args()
    schedule = Schedule(options.steps, options.learning_rate, ema=0.999, accumulate=options.accumulate)
    with exit_in_words():
        if options.output.resolve() == options.model.resolve():
            raise UserError("--output is the folder of --model itself: name another one.")
        device = distributed.join(choose_device(options.device))
        run = Run(options.model, options.runs, MINI, device=device)
        if distributed.rank() == 0:
            write_samples(run, options.scenes, options.rank)
        distributed.wait()
        parts = adapt(run, options.rank, options.batch, schedule)
        if distributed.rank() == 0:
            write_model(run, parts, options.output)


if __name__ == "__main__":
    main()
