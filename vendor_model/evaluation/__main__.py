"""`python -m vendor_model.evaluation generated|scenes|meshes …`: the paper's figures, as a table or JSON."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from vendor_model.errors import exit_in_words
from vendor_model.evaluation import generated, meshes, scenes
from vendor_model.evaluation.report import summary, table
from vendor_model.evaluation.subjects import KnownPhoto, evaluate
from vendor_model.pipeline import Pipeline
from vendor_model.training.recipe import MINI


def main() -> None:
    with exit_in_words():
        arguments = parser().parse_args()
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        figures = summary(list(records(arguments)))
    print(json.dumps(figures) if arguments.json else table(figures))


def parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--json", action="store_true", help="print JSON instead of a table")
    everywhere.add_argument("--threads", type=int, help="CPU threads (default: all)")
    models = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    models.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "mini")
    models.add_argument("--seed", type=int, default=7)
    models.add_argument(
        "--steps", type=int, help="of the geometry model (default: as its configuration says)"
    )
    models.add_argument("--true-points", action="store_true", help="give the model the true point map")
    result = argparse.ArgumentParser(description=__doc__)
    kinds = result.add_subparsers(dest="kind", required=True)
    new = kinds.add_parser("generated", parents=[models], help="new photos of the training generator")
    new.add_argument("--samples", type=int, default=200, help="how many objects")
    new.add_argument("--occluded", action="store_true", help="only objects of which a quarter is hidden")
    rendered = kinds.add_parser("scenes", parents=[models], help="rendered scenes with their truth")
    rendered.add_argument("folders", type=Path, nargs="+")
    pairs = kinds.add_parser("meshes", parents=[everywhere], help="NAME.pred.* against NAME.true.*")
    pairs.add_argument("folder", type=Path)
    return result


def records(arguments: argparse.Namespace) -> Iterator[dict]:
    """What the command line asks for, object by object."""
    if arguments.kind == "meshes":
        return meshes.evaluate(arguments.folder)
    pipeline = Pipeline.load(arguments.model)
    if arguments.steps:
        pipeline.config = replace(pipeline.config, ss_inference_steps=arguments.steps)
    return evaluate(pipeline, known_photos(arguments), arguments.seed, arguments.true_points)


def known_photos(arguments: argparse.Namespace) -> Iterator[KnownPhoto]:
    if arguments.kind == "scenes":
        return scenes.known_photos(arguments.folders)
    return generated.known_photos(arguments.samples, arguments.seed, MINI.categories, arguments.occluded)


if __name__ == "__main__":
    main()
