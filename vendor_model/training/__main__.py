"""`python -m vendor_model.training STAGE …`: train a model, stage by stage, resuming each where it stopped.

On several devices, or on the cores of a CPU: `torchrun --nproc-per-node 4 -m vendor_model.training STAGE …`;
each step's batch is shared out among the processes.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from vendor_model.arguments import at_least_one
from vendor_model.device import choose_device
from vendor_model.errors import exit_in_words
from vendor_model.training import distributed
from vendor_model.training.products import products_dtype
from vendor_model.training.recipe import RECIPES, Run
from vendor_model.training.stages import ALONE, STAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument(
        "--model", type=Path, default=Path("vendor_model/mini"), help="folder with the yaml files"
    )
    parser.add_argument(
        "--runs", type=Path, help="folder for data, checkpoints and logs (default: runs/RECIPE)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first weights, and of the order of samples"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="mini", help="lengths, rates and phases")
    parser.add_argument(
        "--finished", help="stage whose geometry model is exported (default: the recipe's last)"
    )
    parser.add_argument("--decoder", help="stage whose voxel decoder is exported (default: likewise)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--threads", type=at_least_one, help="CPU threads (default: all)")
    parser.add_argument(
        "--workers", type=at_least_one, default=1, help="processes that render data, and read it for a GPU"
    )
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with exit_in_words():
        device = distributed.join(choose_device(arguments.device))
        recipe = RECIPES[arguments.recipe]
        recipe = replace(
            recipe,
            finished=arguments.finished or recipe.finished,
            decoder=arguments.decoder or recipe.decoder,
        )
        runs = arguments.runs or Path("runs", arguments.recipe)
        run = Run(arguments.model, runs, recipe, arguments.seed, device, arguments.workers)
        run.check_shares()
        products_dtype(device)  # now, while all processes are at the same point
        for name in arguments.stages:
            if name not in ALONE or distributed.rank() == 0:
                STAGES[name](run.going_on(name))
            distributed.wait()


if __name__ == "__main__":
    main()
