"""`python -m vendor_model.evaluation generated|scenes|meshes …`: the paper's figures, as a table or JSON.

With `--records FILE` an evaluation that was ended goes on; `compare FILE FILE` sets two of the same objects
against each other. With `--pictures FILE` a model's objects are drawn beside the truth instead; those of
`photos FOLDER…`, of which no truth is known, only so.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vendor_model.arguments import at_least_one
from vendor_model.errors import exit_in_words
from vendor_model.evaluation import pictures
from vendor_model.evaluation.record_file import both
from vendor_model.evaluation.records import known_photos, model, records
from vendor_model.evaluation.report import comparison, summary, table
from vendor_model.photo import read_objects


def main() -> None:
    with exit_in_words():
        arguments = parser().parse_args()
        if getattr(arguments, "threads", None):
            torch.set_num_threads(arguments.threads)
        if getattr(arguments, "pictures", None):
            Image.fromarray(picture(arguments)).save(arguments.pictures)
            print(f"Wrote {arguments.pictures}")
            return
        if arguments.kind == "compare":
            print(comparison(*both(arguments.first, arguments.second)))
            return
        figures = summary(records(arguments))
    print(json.dumps(figures) if arguments.json else table(figures))


def parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--json", action="store_true", help="print JSON instead of a table")
    everywhere.add_argument("--threads", type=at_least_one, help="CPU threads (default: all)")
    models = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    models.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "mini")
    models.add_argument("--seed", type=int, default=7)
    models.add_argument(
        "--steps", type=at_least_one, help="of the geometry model (default: as its configuration says)"
    )
    known = argparse.ArgumentParser(add_help=False, parents=[models])
    known.add_argument("--true-points", action="store_true", help="give the model the true point map")
    known.add_argument("--workers", type=at_least_one, default=1, help="processes that share the work")
    known.add_argument(
        "--records", type=Path, metavar="FILE", help="write each photo's figures, and go on from it"
    )
    known.add_argument("--pictures", type=Path, metavar="FILE", help="draw the objects, measure nothing")
    result = argparse.ArgumentParser(description=__doc__)
    kinds = result.add_subparsers(dest="kind", required=True)
    new = kinds.add_parser("generated", parents=[known], help="new photos of the training generator")
    new.add_argument("--samples", type=at_least_one, default=200, help="how many objects")
    new.add_argument(
        "--occluded", action="store_true", help="only objects of which a quarter or more is hidden"
    )
    new.add_argument("--unseen", action="store_true", help="objects of kinds that mini was not trained on")
    rendered = kinds.add_parser("scenes", parents=[known], help="rendered scenes with their truth")
    rendered.add_argument("folders", type=Path, nargs="+")
    seen = kinds.add_parser("photos", parents=[models], help="photos with masks, drawn without a truth")
    seen.add_argument("folders", type=Path, nargs="+")
    seen.add_argument("--pictures", type=Path, metavar="FILE", required=True)
    pairs = kinds.add_parser("meshes", parents=[everywhere], help="NAME.pred.* against NAME.true.*")
    pairs.add_argument("folder", type=Path)
    two = kinds.add_parser("compare", help="two files of --records, on the objects that both hold")
    two.add_argument("first", type=Path)
    two.add_argument("second", type=Path)
    return result


def picture(arguments: argparse.Namespace) -> np.ndarray:
    """What the command line asks for, drawn."""
    if arguments.kind == "photos":
        photos = (read_objects(folder) for folder in arguments.folders)
        return pictures.photo_sheet(model(arguments), photos, arguments.seed)
    photos = known_photos(arguments)
    return pictures.sheet(model(arguments), photos, arguments.seed, arguments.true_points)


if __name__ == "__main__":
    main()
