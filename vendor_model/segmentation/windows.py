"""The part of the photo that the network looks at."""

from dataclasses import dataclass

import numpy as np

from vendor_model.segmentation.prompts import Prompts

SMALLEST = 24
"""Pixels that a window is high and wide at least, as far as the photo goes."""


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels that lies inside the photo."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return np.s_[self.top : self.top + self.height, self.left : self.left + self.width]


def whole(size: tuple[int, int]) -> Window:
    """All of a photo of (height, width)."""
    return Window(0, 0, size[1], size[0])


def around(mask: np.ndarray, prompts: Prompts, margin: float, shift: tuple[float, float] = (0, 0)) -> Window:
    """What holds the mask (H, W) bool, the clicks and the box, its sides `margin` times as long but none
    less than half the other. shift: of its middle, in lengths of what it holds; nothing is lost by it."""
    size = np.array(mask.shape[::-1], float)
    held = [prompts.points, prompts.points + 1]
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(rows):
        held += [[[columns[0], rows[0]]], [[columns[-1] + 1, rows[-1] + 1]]]
    if prompts.box is not None:
        held.append(np.reshape(prompts.box, (2, 2)).clip(0, size))
    held = np.concatenate(held)
    low, high = held.min(axis=0), held.max(axis=0)
    sides = np.maximum((high - low) * margin, SMALLEST)
    sides = np.maximum(sides, sides[::-1] / 2)
    middle = (low + high) / 2 + np.array(shift) * (high - low)
    start = np.floor(np.minimum(middle - sides / 2, low)).clip(0).astype(int)
    end = np.ceil(np.maximum(middle + sides / 2, high)).clip(None, size).astype(int)
    return Window(*start.tolist(), *(end - start).tolist())
