"""What the artist clicked: refused in one sentence, or obeyed to the pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from vendor_model.errors import MaskError

REACH = 4.0
"""How far from the outline a click changes the mask, in the click's own distance from it."""
HOLD = 2.0
"""A click beside the object takes nothing that is so many times nearer to an earlier click on it."""
NEAREST = 1.5
"""Pixels from the outline that a click is taken to be at least."""


@dataclass(frozen=True)
class Prompts:
    """points: (P, 2) int, the clicked pixels' x, y. labels: (P,) bool, True for a click on the object. box:
    left, top, right, bottom in pixels around the object, if there is one."""

    points: np.ndarray
    labels: np.ndarray
    box: tuple[float, float, float, float] | None = None

    @property
    def key(self) -> tuple:
        """Equal for equal prompts."""
        return self.points.tobytes(), self.labels.tobytes(), self.box

    def first(self, count: int) -> "Prompts":
        """With the first `count` clicks alone."""
        return Prompts(self.points[:count], self.labels[:count], self.box)

    def inside_box(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """bool, broadcast: whether the positions lie in the box; everywhere without one."""
        left, top, right, bottom = self.box or (-np.inf, -np.inf, np.inf, np.inf)
        return (x >= left) & (x < right) & (y >= top) & (y < bottom)


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


def correct(before: np.ndarray, share: np.ndarray, grown: np.ndarray, prompts: Prompts) -> np.ndarray:
    """(H, W) float32, the share after the last click, of which only that is taken which the click asks for.

    A click on the object only adds, one beside it only takes away, one that is obeyed already does nothing.
    Artists click into the middle of what is wrong. So near the outline a click moves the outline little; and
    where `share` takes away less than a disc about the click that reaches the outline, it has not seen what
    is meant: then `grown` (H, W) is asked, what classical growth takes.
    """
    x, y = prompts.points[-1]
    adds = prompts.labels[-1]
    beyond = (before > 0.5) != adds
    depth = cv2.distanceTransform(beyond.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    depth = depth.clip(max=max(depth.shape))  # a mask of the whole photo has no outline
    if not depth[y, x]:
        return before
    reached = depth <= REACH * max(depth[y, x], NEAREST)
    if not adds:
        reached &= ~_held(prompts, before.shape)
    if not adds and (beyond & reached & (share <= 0.5)).sum() < np.pi * depth[y, x] ** 2:
        share = grown
    return np.where(reached, (np.maximum if adds else np.minimum)(share, before), before)


def _held(prompts: Prompts, shape: tuple[int, int]) -> np.ndarray:
    """bool (H, W): pixels HOLD times nearer to an earlier click on the object than to the last click."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    places = (*prompts.points[:-1][prompts.labels[:-1]], prompts.points[-1])
    *earlier, last = (np.hypot(column - x, row - y) for x, y in places)
    return HOLD * np.minimum.reduce(earlier) < last if earlier else np.zeros(shape, bool)


def honour(share: np.ndarray, regions: np.ndarray, prompts: Prompts) -> np.ndarray:
    """(H, W) float32, the share with each click obeyed: where it is on the wrong side of a click, that
    click's region gives way, parted by the nearest click if there are several in it."""
    share = share.copy()
    x, y = prompts.points.T
    clicked = regions[y, x]
    for region in np.unique(clicked[(share[y, x] > 0.5) != prompts.labels]):
        inside = clicked == region
        rows, columns = np.nonzero(regions == region)
        nearest = cKDTree(prompts.points[inside]).query(np.stack([columns, rows], axis=1))[1]
        share[rows, columns] = prompts.labels[inside][nearest]
    return share
