"""The masks of a photo's objects as they show and as they are reconstructed: brushed, and shared out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from . import masks

HANDLE_GRID = 96
"""Cells along the longer side of the mask in which its handle is placed."""


class Marked(NamedTuple):
    """What an object's mask is made of, as texts of `masks.pack`, '' for nothing.

    found: by clicks or from a file; added, erased: by the brush.
    """

    found: str
    added: str
    erased: str


@dataclass(frozen=True, eq=False)
class Shape:
    """An object's mask. All (H, W) bool and not to be written to.

    whole: as it was marked; mask: what is left of it where smaller objects take their pixels.
    """

    whole: np.ndarray
    mask: np.ndarray

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def handle(self) -> tuple[float, float]:
        """(x, y) in pixels, well inside the mask, where its number is shown."""
        return inner_point(self.mask if self.area else self.whole)

    @cached_property
    def warning(self) -> str:
        """See `masks.warning`."""
        return masks.warning(self.mask, self.whole)


@lru_cache(maxsize=2)
def shapes(marked: tuple[Marked, ...], smaller_wins: bool) -> tuple[Shape | None, ...]:
    """The shape of every object of a photo, in their order; None for one without a mask."""
    wholes = [_whole(parts) for parts in marked]
    there = [whole for whole in wholes if whole is not None]
    own = iter(shared_out(there) if smaller_wins else there)
    return tuple(None if whole is None else Shape(whole, next(own)) for whole in wholes)


@lru_cache(maxsize=32)
def _whole(parts: Marked) -> np.ndarray | None:
    found, added, erased = (masks.unpack(text) if text else None for text in parts)
    if found is None and added is None:
        return None
    whole = added.copy() if found is None else found if added is None else found | added
    return whole if erased is None else whole & ~erased


def shared_out(wholes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each pixel to the smallest of the (H, W) bool masks that hold it; of equally large ones to the last.

    A mask that gives nothing away is returned as it is.
    """
    areas = [np.count_nonzero(whole) for whole in wholes]
    own = list(wholes)
    taken = np.zeros_like(wholes[0]) if wholes else None
    for index in sorted(range(len(wholes)), key=lambda index: (areas[index], -index)):
        if (wholes[index] & taken).any():
            own[index] = wholes[index] & ~taken
        taken |= wholes[index]
    return own


def inner_point(mask: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels of a place in the mask that is far from its edge; (0, 0) of an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    step = -(-max(cut.shape) // HANDLE_GRID)
    cells = np.pad(cut[::step, ::step], 1)
    inner = cells
    while cells.any():
        inner, cells = cells, cells & masks.shrunk(cells)
    places = np.argwhere(inner[1:-1, 1:-1])
    if not len(places):  # so thin that every step missed it
        places, step = np.argwhere(cut), 1
    middle = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
    return left + middle[1] * step + 0.5, top + middle[0] * step + 0.5
