"""`python -m vendor_model.evaluation generated …`: figures of a model over a generated test set."""

import argparse
import json
from pathlib import Path

from vendor_model.evaluation.generated import evaluate, summary
from vendor_model.training.stages import MINI

LABELS = {
    "samples": "objects",
    "voxel_iou": "voxel IoU, mean",
    "rotation_error": "rotation error, median, degrees",
    "translation_error": "translation error, mean, object sizes",
    "mask_iou": "mask IoU, mean",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    generated = kinds.add_parser("generated", help="new scenes of the training generator")
    generated.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "mini")
    generated.add_argument("--samples", type=int, default=200)
    generated.add_argument("--seed", type=int, default=7)
    generated.add_argument(
        "--true-points", action="store_true", help="give the true point map, not the model's"
    )
    generated.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    records = evaluate(
        arguments.model, arguments.samples, arguments.seed, MINI.categories, arguments.true_points
    )
    figures = summary(list(records))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, label in LABELS.items():
        print(f"{label:40}{figures[name]:10.3g}")
    for category, iou in figures["categories"].items():
        print(f"    {category:36}{iou:10.3f}")


if __name__ == "__main__":
    main()
