"""What the artist clicked: refused in one sentence, or turned into a mask of pixels."""

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

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


def paint(chosen: np.ndarray, labels: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(h, w) bool: the chosen regions' parts that a positive click lies in, with their holes filled.

    chosen: (N,) bool. labels: (h, w) int, each pixel's region. positive, negative: (P, 2) int x, y; a
    region with both kinds of click is shared out by which is nearer. A hole with a negative click stays.
    """
    mask = chosen[labels]
    shared = np.isin(labels, labels[positive[:, 1], positive[:, 0]])
    shared &= np.isin(labels, labels[negative[:, 1], negative[:, 0]])
    y, x = np.nonzero(shared)
    if len(x):
        pixels = np.stack([x, y], axis=1)
        mask[y, x] = cKDTree(positive).query(pixels)[0] <= cKDTree(negative).query(pixels)[0]
    mask = ndimage.binary_fill_holes(mask) & ~_parts_at(~mask, negative)
    return _parts_at(mask, positive)


def _parts_at(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(h, w) bool: the connected parts of the mask that the pixels lie in."""
    parts, count = ndimage.label(mask)
    hit = np.zeros(count + 1, bool)
    hit[parts[pixels[:, 1], pixels[:, 0]]] = True
    hit[0] = False
    return hit[parts]


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool → (height, width) bool with smooth edges."""
    if mask.shape == size:
        return mask
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
