"""What the artist has asked for, in plain values: clicks, colours of objects, words for the panel."""

import colorsys
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ArtistError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels from the photo's top left corner."""


@dataclass(frozen=True)
class Click:
    """A click in the photo. x, y: pixels from the top left corner; positive: on the object or beside it."""

    x: float
    y: float
    positive: bool


def check_click(x: float, y: float, photo_size: tuple[int, int]) -> None:
    """Raise ArtistError unless (x, y) lies in a photo of (height, width) pixels."""
    height, width = photo_size
    if not (0 <= x < width and 0 <= y < height):
        raise ArtistError(
            f"The click at ({x:g}, {y:g}) is outside the photo of {width} × {height} pixels; "
            "click on the object in the photo."
        )


def check_box(box: Box, photo_size: tuple[int, int]) -> Box:
    """The box with its corners in order and its outside cut off, for a photo of (height, width) pixels.

    Raises ArtistError when less than a pixel of the photo is left in it.
    """
    height, width = photo_size
    left, right = sorted(min(max(x, 0.0), width) for x in box[0::2])
    top, bottom = sorted(min(max(y, 0.0), height) for y in box[1::2])
    if right - left < 1 or bottom - top < 1:
        raise ArtistError(
            f"The box from ({box[0]:g}, {box[1]:g}) to ({box[2]:g}, {box[3]:g}) holds nothing of the photo "
            f"of {width} × {height} pixels; draw it around the object."
        )
    return left, top, right, bottom


def prompt_key(clicks: Iterable[Click], box: Box | None = None) -> str:
    """Tells one set of clicks and box from another: a mask made of others is out of date.

    '' without a box and without a click on the object, for then there is no mask to be had.
    """
    clicks = tuple(clicks)
    if box is None and not any(click.positive for click in clicks):
        return ""
    told = [f"{click.x:.3f},{click.y:.3f},{click.positive:d}" for click in clicks]
    told += [",".join(f"{side:.3f}" for side in box or ())]
    return hashlib.sha1(";".join(told).encode("ascii")).hexdigest()


def object_color(index: int) -> tuple[float, float, float]:
    """Display-referred sRGB of the index-th object of a photo; neighbours in the list differ clearly."""
    golden_section = 0.618033988749895
    return colorsys.hsv_to_rgb((0.58 + index * golden_section) % 1.0, 0.75, 0.95)


def progress_text(message: str, seconds: float) -> str:
    """The line above the progress bar."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{message} · {minutes}:{seconds:02d}"
