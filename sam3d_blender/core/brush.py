"""Masks edited by hand: strokes of a round brush, kept beside the mask that they correct."""

import math
from collections.abc import Sequence

import numpy as np


def paint(mask: np.ndarray, points: Sequence[tuple[float, float]], radius: float, value: bool = True) -> None:
    """Set every pixel of a (H, W) bool mask whose centre is within the radius of the stroke, in place.

    points: (x, y) along the stroke in pixels from the top left corner; one point is a dot. The pixel under
    each point is set however small the radius.
    """
    height, width = mask.shape
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        left, right = _span(min(x0, x1) - radius, max(x0, x1) + radius, width)
        top, bottom = _span(min(y0, y1) - radius, max(y0, y1) + radius, height)
        x, y = np.arange(left, right) + 0.5 - x0, np.arange(top, bottom)[:, None] + 0.5 - y0
        along = (x1 - x0, y1 - y0)
        length = along[0] ** 2 + along[1] ** 2
        share = np.clip((x * along[0] + y * along[1]) / length, 0, 1) if length else 0.0
        near = (x - share * along[0]) ** 2 + (y - share * along[1]) ** 2 <= max(radius, 0.5**0.5) ** 2
        mask[top:bottom, left:right][near] = value


def add_stroke(
    added: np.ndarray, erased: np.ndarray, stroke: np.ndarray, erase: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that all strokes so far add and erase, after one more. All (H, W) bool; none is changed."""
    if erase:
        return added & ~stroke, erased | stroke
    return added | stroke, erased & ~stroke


def _span(first: float, last: float, size: int) -> tuple[int, int]:
    return min(max(0, math.floor(first)), size), max(0, min(size, math.ceil(last) + 1))
