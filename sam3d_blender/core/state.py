"""What the artist has asked for, in plain values: clicks, colours of objects, words for the panel."""

import colorsys
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ArtistError


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


def prompt_key(clicks: Iterable[Click]) -> str:
    """Tells one set of clicks from another: a mask made of other clicks is out of date.

    '' when no click is on an object, for then there is no mask to be had.
    """
    clicks = tuple(clicks)
    if not any(click.positive for click in clicks):
        return ""
    told = ";".join(f"{click.x:.3f},{click.y:.3f},{click.positive:d}" for click in clicks)
    return hashlib.sha1(told.encode("ascii")).hexdigest()


def object_color(index: int) -> tuple[float, float, float]:
    """Display-referred sRGB of the index-th object of a photo; neighbours in the list differ clearly."""
    golden_section = 0.618033988749895
    return colorsys.hsv_to_rgb((0.58 + index * golden_section) % 1.0, 0.75, 0.95)


def progress_text(message: str, seconds: float) -> str:
    """The line above the progress bar."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{message} · {minutes}:{seconds:02d}"
