"""Model folders: look at one, make one.

    python -m vendor_model.checkpoints describe vendor_model/official --json
    python -m vendor_model.checkpoints download models/sam-3d-objects
    python -m vendor_model.checkpoints convert downloads/sam-3d-objects models/sam-3d-objects

The token of a gated repository is taken from HF_TOKEN, or from a login with `hf auth login`.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from vendor_model.checkpoints.conversion import convert
from vendor_model.checkpoints.description import describe
from vendor_model.checkpoints.download import download_model
from vendor_model.checkpoints.released import CONFIGURATION
from vendor_model.errors import exit_in_words


def print_sizes(folder: Path, as_json: bool) -> None:
    """A line for each module and one for all, or a list of them as JSON."""
    sizes = describe(folder)
    if as_json:
        print(json.dumps([dataclasses.asdict(size) for size in sizes], indent=2))
        return
    print(f"{'module':24} {'tensors':>8} {'parameters':>14} {'fp16, MB':>10} {'fp32, MB':>10}")
    rows = [
        (size.name, size.tensors, size.parameters, size.bytes_float16, size.bytes_float32) for size in sizes
    ]
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    for name, tensors, parameters, half, single in rows:
        print(f"{name:24} {tensors:8} {parameters:14,} {half / 1e6:10.1f} {single / 1e6:10.1f}")


def print_progress(stage: str, fraction: float) -> None:
    print(f"{stage} {fraction:4.0%}", end="\r", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vendor_model.checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("describe", help="tensors, parameters and bytes of every module")
    command.add_argument("folder", type=Path, help="model folder; its yaml files are enough")
    command.add_argument("--json", action="store_true")
    command = commands.add_parser("convert", help="released files to a model folder")
    command.add_argument(
        "source", type=Path, help="released files, with MoGe's model.pt beside pipeline.yaml"
    )
    command.add_argument("target", type=Path, help="folder to make")
    command = commands.add_parser("download", help="the released files from Hugging Face, and convert them")
    command.add_argument("target", type=Path, help="folder to make")
    arguments = parser.parse_args()
    with exit_in_words():
        if arguments.command == "describe":
            print_sizes(arguments.folder, arguments.json)
        else:
            if arguments.command == "convert":
                convert(arguments.source, arguments.target, print_progress)
            else:
                download_model(CONFIGURATION, arguments.target, print_progress)
            print(f"{arguments.target} is ready.")


if __name__ == "__main__":
    main()
