"""What the artist clicked: refused in one sentence, or turned into regions and back into pixels."""

import cv2
import numpy as np
from scipy import ndimage

from vendor_model.errors import MaskError


def check_prompts(points: np.ndarray, labels: np.ndarray, box, size: tuple[int, int]) -> None:
    """points: (P, 2). labels: (P,) bool. size: (height, width). Raises MaskError."""
    height, width = size
    if len(points) != len(labels):
        raise MaskError(f"There are {len(points)} clicks but {len(labels)} labels; give one label per click.")
    if box is None and len(points) == 0:
        raise MaskError("There is no click and no box; click on the object first.")
    if box is None and not labels.any():
        raise MaskError(
            f"All {len(points)} clicks exclude, so nothing is selected; add a click on the object itself."
        )
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise MaskError(
                f"The click at ({x:g}, {y:g}) lies outside the photo of {width} x {height} pixels; "
                "click inside it."
            )
    if box is not None:
        left, top, right, bottom = box
        if not (max(left, 0) < min(right, width) and max(top, 0) < min(bottom, height)):
            raise MaskError(
                f"The box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) holds nothing of the photo of "
                f"{width} x {height} pixels; draw it around the object, from left to right and top to bottom."
            )


def clean(mask: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(h, w) bool: the parts of the mask that a positive click lies in, their holes filled.

    positive, negative: (P, 2) int x, y. A hole with a negative click stays. Without any positive click
    the largest part is kept.
    """
    mask = ndimage.binary_fill_holes(mask) & ~_parts_at(~mask, negative) | _parts_at(mask, positive)
    if len(positive):
        return _parts_at(mask, positive)
    parts, count = ndimage.label(mask)
    return parts == 1 + np.argmax(np.bincount(parts.ravel(), minlength=2)[1:]) if count else mask


def _parts_at(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    hit = parts[pixels[:, 1], pixels[:, 0]]
    return np.isin(parts, hit[hit > 0])


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool → (height, width) bool with smooth edges."""
    if mask.shape == size:
        return mask
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
