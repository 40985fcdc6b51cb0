"""`python -m vendor_model.training STAGE …`: train mini, stage by stage, resuming each where it stopped."""

import argparse
from pathlib import Path

import torch

from vendor_model.training.stages import MINI, STAGES, Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument(
        "--model", type=Path, default=Path("vendor_model/mini"), help="folder with the yaml files"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/mini"), help="folder for data, checkpoints and logs"
    )
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for name in arguments.stages:
        STAGES[name](Run(arguments.model, arguments.runs, MINI))


if __name__ == "__main__":
    main()
