"""Photos and masks as Blender images: load them, turn them upright, read their pixels."""

from pathlib import Path

import bpy
import numpy as np

from ..core import exif, masks
from ..core.colors import srgb_from_linear
from ..core.errors import ArtistError

SMALLEST_SIDE = 16
"""Pixels; a smaller picture is a mistake, not a photo of objects."""


def load(path: str | Path) -> bpy.types.Image:
    """The image of a photo file, upright; one that is loaded already is used again.

    Blender ignores the EXIF orientation: pixels of a turned photo are turned here, and packed.
    Raises ArtistError when the file is missing, no still image, or too small.
    """
    image, is_new = _open(path)
    try:
        check(image)
    except ArtistError:
        if is_new:
            bpy.data.images.remove(image)
        raise
    if is_new:
        _turn_upright(image)
    return image


def check(image: bpy.types.Image) -> None:
    """Raise ArtistError unless the image can serve as a photo."""
    height, width = size(image)
    if min(height, width) < SMALLEST_SIDE:
        raise ArtistError(
            f"“{image.name}” is {width} × {height} pixels; "
            f"use a photo of at least {SMALLEST_SIDE} × {SMALLEST_SIDE}."
        )


def size(image: bpy.types.Image) -> tuple[int, int]:
    """(height, width) in pixels. Raises ArtistError when the image has no pixels to show."""
    if image.source == "MOVIE":
        raise ArtistError(f"“{image.name}” is animated; save one frame of it as PNG or JPEG and load that.")
    width, height = image.size
    if not width or not height:
        raise ArtistError(
            f"“{image.name}” is no image that Blender can read, or it is cut off; "
            "save it again as PNG or JPEG and load that."
        )
    return height, width


def pixels(image: bpy.types.Image) -> np.ndarray:
    """(H, W, 4) float32, top row first: sRGB values of byte images, linear values of float images."""
    height, width = size(image)
    values = np.empty(height * width * 4, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(height, width, 4)[::-1]


def rgb(image: bpy.types.Image) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, top row first."""
    colors = pixels(image)[..., :3]
    if image.is_float:
        colors = srgb_from_linear(colors)
    return np.rint(np.clip(colors, 0.0, 1.0) * 255).astype(np.uint8)


def content(image: bpy.types.Image) -> Path | np.ndarray:
    """What another program reads to see the same photo: its file, or its `rgb` where no file shows it."""
    path = Path(bpy.path.abspath(image.filepath, library=image.library))
    is_as_filed = image.source == "FILE" and image.filepath and not image.is_dirty and not image.is_float
    return path if is_as_filed and path.is_file() else rgb(image)


def read_mask(path: str | Path) -> np.ndarray:
    """(H, W) bool of a mask file, see `core.masks.from_pixels`. Raises ArtistError as `load` does."""
    image, is_new = _open(path)
    try:
        return masks.from_pixels(pixels(image))
    finally:
        if is_new:
            bpy.data.images.remove(image)


def _open(path: str | Path) -> tuple[bpy.types.Image, bool]:
    path = Path(bpy.path.abspath(str(path)))
    if not path.is_file():
        raise ArtistError(f"There is no file “{path}”; choose an image file.")
    known = set(bpy.data.images)
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise ArtistError(f"“{path}” cannot be opened; allow reading it, or copy it elsewhere.") from error
    return image, image not in known


def _turn_upright(image: bpy.types.Image) -> None:
    orientation = exif.orientation(Path(bpy.path.abspath(image.filepath)))
    if orientation == 1:
        return
    turned = np.ascontiguousarray(exif.upright(pixels(image), orientation)[::-1])
    height, width = turned.shape[:2]
    image.scale(width, height)
    image.pixels.foreach_set(turned.ravel())
    image.update()
    image.pack()
