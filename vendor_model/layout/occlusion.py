"""Whether a mask shows the whole outline of its object; only then can the outline correct the pose."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

MIN_COMPONENT = 25
BORDER = 5
RING = 2
DEPTH_GAP = 0.3
MAX_OCCLUDED = 10
MAX_HOLES = 100


class Hiding(NamedTuple):
    """Reasons to distrust an outline."""

    near_border: bool
    occluded: bool
    fragmented: bool


def drop_specks(mask: np.ndarray) -> np.ndarray:
    """A bool mask (H, W) without its 4-connected components of fewer than 25 pixels."""
    labels, _ = ndimage.label(mask)
    large = np.bincount(labels.reshape(-1)) >= MIN_COMPONENT
    large[0] = False
    return large[labels]


def find_hiding(mask: np.ndarray, depth: np.ndarray) -> Hiding:
    """How the object's outline may be cut (spec layout.md §5.4).

    mask: (H, W) bool, without specks; depth: (H, W) camera z in the point map's unit, NaN allowed.
    Near the border: a mask pixel within 5 pixels of it. Occluded: more than 10 pixels of the mask's rim
    lie over 0.3 behind a pixel just outside. Fragmented: several components, or 100 pixels of holes.
    """
    inner = np.zeros_like(mask)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    near_border = bool((mask & ~inner).any())

    rim = mask & ~ndimage.binary_erosion(mask, iterations=RING)
    outside = ndimage.binary_dilation(mask, iterations=RING) & ~mask
    front = np.where(outside & ~np.isnan(depth), depth, np.inf)
    front = ndimage.minimum_filter(front, size=2 * RING + 1, mode="constant", cval=np.inf)
    with np.errstate(invalid="ignore"):
        occluded = np.count_nonzero(rim & (depth - front > DEPTH_GAP)) > MAX_OCCLUDED

    holes = np.count_nonzero(ndimage.binary_fill_holes(mask) & ~mask)
    fragmented = ndimage.label(mask)[1] > 1 or holes >= MAX_HOLES
    return Hiding(near_border, occluded, fragmented)
