"""The masks of a photo's objects as they show and as they are reconstructed: brushed, and shared out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from . import masks


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
    def given_away(self) -> int:
        """Pixels of the whole that smaller objects have taken."""
        return int(np.count_nonzero(self.whole)) - self.area

    @cached_property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the mask in pixels; of the whole where nothing is left of it."""
        return bounds_of(self.mask if self.area else self.whole)

    @cached_property
    def top(self) -> tuple[float, float]:
        """(x, y) in pixels of the middle of the mask's highest row."""
        top = self.bounds[1]
        columns = np.flatnonzero((self.mask if self.area else self.whole)[top])
        return (float(columns.mean()) + 0.5 if len(columns) else 0.0), float(top)

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


def bounds_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a (H, W) bool mask in pixels; zeros of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
