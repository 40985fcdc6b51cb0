"""Records of objects to means, and means to a table."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vendor_model.errors import UserError

BANDS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Bounds of the bands of the visible share."""

SETS = {
    "shape": "after ICP",
    "shape_without_icp": "as predicted",
    "layout": "as predicted",
    "layout_refined": "refined",
}

LABELS = {
    "f1_001": "F1 at 0.01",
    "f1_005": "F1 at 0.05",
    "voxel_iou": "voxel IoU 64³, solid",
    "surface_iou": "voxel IoU 64³, surface (paper)",
    "chamfer": "Chamfer distance",
    "emd": "earth mover's distance",
    "box_iou": "3D IoU",
    "icp_rotation": "ICP-Rot, degrees",
    "icp_rotation_asymmetric": "ICP-Rot, objects without symmetry",
    "rotation_error": "rotation error, median, degrees",
    "add_s": "ADD-S",
    "add_s_01": "ADD-S@0.1",
    "mask_iou": "2D mask IoU",
}
"""Every figure, in the order of the table. All are means but for the rotation error."""

ASYMMETRIC = "icp_rotation_asymmetric"
MEDIAN = "rotation_error"

SHORT = ("f1_005", "voxel_iou", "box_iou", "icp_rotation")


def summary(records: Sequence[dict]) -> dict:
    """Means over all records and their standard errors, as of independent objects; a short list of means by
    visible share, kind of scene and category: of shapes after ICP, of layouts as they are handed on.

    Raises UserError without a record.
    """
    if not records:
        raise UserError("There is no object to measure: ask for more samples, or name other folders.")
    bands, kinds, categories = defaultdict(list), defaultdict(list), defaultdict(list)
    for record in records:
        number = min(np.searchsorted(BANDS, record["visible"], side="right"), len(BANDS) - 1)
        bands[f"{BANDS[number - 1]:.2f}-{BANDS[number]:.2f}"].append(record)
        kinds[record["kind"]].append(record)
        categories[record["category"]].append(record)
    return {
        "objects": len(records),
        "failed": sum(record["failed"] for record in records),
        "asymmetric": sum(not record["symmetric"] for record in records),
        **_means(records),
        "standard_errors": {
            kind: {name: _standard_error(values) for name, values in found.items() if name != MEDIAN}
            for kind, found in _values(records).items()
        },
        "visible": {band: _short(group) for band, group in sorted(bands.items())},
        "kinds": {kind: _short(group) for kind, group in sorted(kinds.items())},
        "categories": {name: _short(group) for name, group in sorted(categories.items())},
    }


def _values(records: Sequence[dict]) -> dict[str, dict[str, np.ndarray]]:
    """By set and name of a figure, its value for each object that has it."""
    values = {}
    for kind in (kind for kind in SETS if kind in records[0]):
        values[kind] = {name: np.array([r[kind][name] for r in records]) for name in records[0][kind]}
        angles = [r[kind]["icp_rotation"] for r in records if "box_iou" in r[kind] and not r["symmetric"]]
        if angles:
            values[kind][ASYMMETRIC] = np.array(angles)
    return values


def _means(records: Sequence[dict]) -> dict[str, dict[str, float]]:
    return {
        kind: {name: _mean(name, values) for name, values in found.items()}
        for kind, found in _values(records).items()
    }


def _mean(name: str, values: np.ndarray) -> float:
    return float(np.median(values) if name == MEDIAN else values.mean())


def _standard_error(values: np.ndarray) -> float:
    return float(values.std() / np.sqrt(len(values)))


def _short(records: Sequence[dict]) -> dict[str, float]:
    means = _means(records)
    together = means["shape"] | means.get("layout_refined", means["layout"])
    return {"objects": len(records)} | {name: together[name] for name in SHORT}


def table(figures: dict) -> str:
    """The summary as text."""
    lines = [
        f"{figures['objects']} objects, {figures['failed']} not reconstructed, "
        f"{figures['asymmetric']} without symmetry"
    ]
    errors = figures["standard_errors"]
    for family in ("shape", "layout"):
        sets = [kind for kind in SETS if kind.startswith(family) and kind in figures]
        lines += ["", f"{family:36}" + "".join(f"{SETS[kind]:>20}" for kind in sets)]
        for name in (name for name in LABELS if name in figures[sets[0]]):
            spread = {kind: f"± {errors[kind][name]:.4f}" if name in errors[kind] else "" for kind in sets}
            values = "".join(f"{figures[kind][name]:11.4f} {spread[kind]:8}" for kind in sets)
            lines.append(f"{LABELS[name]:36}{values}".rstrip())
    for groups in ("visible", "kinds", "categories"):
        header = "".join(f"{LABELS[name].split(',')[0].removesuffix(' 64³'):>18}" for name in SHORT)
        lines += ["", f"{groups:24}{'objects':>9}{header}"]
        for group, means in figures[groups].items():
            values = "".join(f"{means[name]:18.3f}" for name in SHORT)
            lines.append(f"{group:24}{means['objects']:9}{values}")
    return "\n".join(lines)


def comparison(first: Sequence[dict], second: Sequence[dict]) -> str:
    """Two evaluations of the same objects, in one order, as text: both means, and the mean of the differences
    with its standard error; the median is left out. Raises UserError without an object."""
    if not first:
        raise UserError("There is no object that both have measured: let them run longer.")
    lines = [f"{len(first)} objects", "", f"{'':52}{'first':>10}{'second':>10}{'difference':>12}"]
    for kind, found in _values(first).items():
        others = _values(second).get(kind, {})
        for name in (name for name in LABELS if name in found and name in others and name != MEDIAN):
            here, there = found[name], others[name]
            change = there - here
            lines.append(
                f"{LABELS[name] + ', ' + SETS[kind]:52}{_mean(name, here):10.4f}{_mean(name, there):10.4f}"
                f"{change.mean():+12.4f} ± {_standard_error(change):.4f}"
            )
    return "\n".join(lines)
