"""Objects without clicks: a grid of points is asked for masks, the plausible ones that differ are kept.

After the automatic mask generation of Segment Anything (Kirillov et al. 2023, section "Zero-shot object
proposals" and appendix B), with the intersection of masks, not of boxes, telling what is the same object.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SAME_OBJECT = 0.7
"""IoU from which two masks count as one object."""

SMALLEST_SHARE, LARGEST_SHARE = 5e-4, 0.6
"""Of the photo: less is a speck, more its background."""

MOST_SIDES = 2
"""Of the photo's frame that an object may touch; what touches more is wall, floor or sky."""

SHALLOWEST = 0.1
"""How far an object reaches into the photo, by the length of its border on the frame; less is a sliver."""


def grid_points(size: tuple[int, int], per_side: int) -> np.ndarray:
    """(per_side², 2) float32 x, y, the middles of equal cells. size: (height, width) in pixels."""
    height, width = size
    middles = (np.arange(per_side, dtype=np.float32) + 0.5) / per_side
    x, y = np.meshgrid(middles * width, middles * height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def largest_part(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool: the largest connected part of the mask, with its holes filled."""
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(mask)


def is_plausible(mask: np.ndarray) -> bool:
    """Whether a (h, w) bool mask may be an object: no speck, no background, no sliver along the frame."""
    share = mask.mean()
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE:
        return False
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    if sum(side.any() for side in sides) > MOST_SIDES:
        return False
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    extent = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    across = (extent[0], extent[0], extent[1], extent[1])  # how far the mask reaches from each of the sides
    return all(side.sum() * SHALLOWEST <= reach for side, reach in zip(sides, across, strict=True))


def select(masks: Sequence[np.ndarray], scores: Sequence[float]) -> list[int]:
    """Indices of the plausible masks, the best of each object, the best first.

    masks: (h, w) bool each; scores: larger is better.
    """
    plausible = [index for index, mask in enumerate(masks) if is_plausible(mask)]
    kept: list[int] = []
    for index in sorted(plausible, key=lambda index: -scores[index]):
        if all(iou(masks[index], masks[other]) <= SAME_OBJECT for other in kept):
            kept.append(index)
    return kept


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two bool masks of one shape that are not both empty."""
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)
