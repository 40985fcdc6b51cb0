"""python -m vendor_model.segmentation evaluate FOLDER… [--model FOLDER_OR_ID] [--json]: how good masks from
clicks are.

A folder holds a photo and the masks of its objects, as `photo.read_objects` says.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vendor_model.errors import exit_in_words
from vendor_model.photo import read_objects
from vendor_model.segmentation.segmenters import ClickSegmenter, load_segmenter

CLICKS = (1, 3, 5)


def next_click(truth: np.ndarray, mask: np.ndarray) -> tuple[tuple[int, int], bool]:
    """Where an artist would click next: x, y in the middle of the largest wrong region, and whether it
    is missing (True) or too much (False)."""
    wrong = truth != mask
    regions = [np.pad(part, 1).astype(np.uint8) for part in (wrong & truth, wrong & ~truth)]
    depth = [cv2.distanceTransform(r, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] for r in regions]
    missing = depth[0].max() >= depth[1].max()
    y, x = np.unravel_index(np.argmax(depth[0] if missing else depth[1]), truth.shape)
    return (int(x), int(y)), bool(missing)


def click_object(segmenter: ClickSegmenter, truth: np.ndarray) -> Iterator[tuple[float, float]]:
    """Click up to max(CLICKS) times; IoU and seconds of each."""
    points, labels, mask = [], [], np.zeros_like(truth)
    for _ in range(max(CLICKS)):
        if (mask != truth).any():
            point, label = next_click(truth, mask)
            points.append(point)
            labels.append(label)
        start = time.perf_counter()
        mask = segmenter.mask(np.array(points, np.float32), np.array(labels))
        seconds = time.perf_counter() - start
        yield (mask & truth).sum() / (mask | truth).sum(), seconds


def evaluate(folder: Path, segmenter: ClickSegmenter) -> dict:
    """Mean IoU over the folder's objects after each number of clicks; milliseconds."""
    photo, truths = read_objects(folder)
    start = time.perf_counter()
    segmenter.set_photo(photo.rgb)
    photo_ms = 1e3 * (time.perf_counter() - start)
    runs = np.array([list(click_object(segmenter, truth)) for truth in truths])  # object, click, (IoU, s)
    return {
        "folder": str(folder),
        "objects": len(truths),
        "iou": {str(clicks): float(runs[:, clicks - 1, 0].mean()) for clicks in CLICKS},
        "photo_ms": photo_ms,
        "click_ms": float(1e3 * runs[..., 1].mean()),
        "slowest_click_ms": float(1e3 * runs[..., 1].max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vendor_model.segmentation", description=__doc__)
    command = parser.add_subparsers(required=True).add_parser("evaluate", help="measure masks from clicks")
    command.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    command.add_argument(
        "--model",
        default="",
        metavar="FOLDER_OR_ID",
        help="weights of SAM 2.1 or SAM 3 on this disk; without it the embedded segmenter is measured",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with exit_in_words():
        segmenter = load_segmenter(options.model)
        rows = [evaluate(folder, segmenter) for folder in options.folders]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("  ".join(["objects", *(f"IoU@{n}" for n in CLICKS), "ms/click", "ms/photo", "folder"]))
    for row in rows:
        ious = "  ".join(f"{row['iou'][str(n)]:5.2f}" for n in CLICKS)
        times = f"{row['click_ms']:8.0f}  {row['photo_ms']:8.0f}"
        print(f"{row['objects']:7d}  {ious}  {times}  {row['folder']}")


if __name__ == "__main__":
    main()
