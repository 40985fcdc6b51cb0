"""Photos and masks as Blender images: load them, turn them upright, read their pixels."""

import contextlib
import functools
import hashlib
from pathlib import Path

import bpy
import numpy as np

from ..core import exif, masks
from ..core.colors import srgb_from_linear
from ..core.errors import ArtistError

SMALLEST_SIDE = 16
"""Pixels; a smaller picture is a mistake, not a photo of objects."""

_rgb: tuple[tuple, np.ndarray] | None = None
"""The last photo whose `rgb` was made, by what it is known by, and that."""


def load(path: str | Path) -> bpy.types.Image:
    """The image of a photo file, upright; one that is loaded already is used again, brought up to date.

    Where its file has changed since, masks of clicks count as out of date; with another size it becomes an
    image of its own beside the former. Raises ArtistError when the file is missing, no still image, or too
    small.
    """
    image, is_new = _open(path)
    if not is_new and trouble(image):
        image.reload()  # its file may be back
    try:
        check(image)
    except ArtistError:
        if is_new:
            bpy.data.images.remove(image)
        raise
    if is_changed(image):
        return _renewed(image)
    adopt(image)
    return image


def adopt(image: bpy.types.Image) -> None:
    """Make an image a photo: upright, with a note of what its file holds now, for `is_changed` to compare.

    Blender ignores the EXIF orientation: pixels of a turned photo are turned here, and packed.
    """
    _turn_upright(image)
    path = _file(image)
    image.sam3d.file_digest = _digest(path) if path else ""


def is_changed(image: bpy.types.Image) -> bool:
    """Whether the photo's file holds something else than when it was loaded; not when it is gone."""
    path = _file(image)
    return bool(path and image.sam3d.file_digest) and _digest(path) != image.sam3d.file_digest


def check_unchanged(image: bpy.types.Image) -> None:
    """Raise ArtistError when the photo's file is no longer the one that was loaded."""
    if is_changed(image):
        raise ArtistError(
            f"“{image.name}” has changed on disk since it was loaded, so its masks may not fit; "
            "load it again to work on what it shows now."
        )


def check(image: bpy.types.Image) -> None:
    """Raise ArtistError unless the image can serve as a photo."""
    height, width = size(image)
    if min(height, width) < SMALLEST_SIDE:
        raise ArtistError(
            f"“{image.name}” is {width} × {height} pixels; "
            f"use a photo of at least {SMALLEST_SIDE} × {SMALLEST_SIDE}."
        )


def trouble(image: bpy.types.Image) -> str:
    """Why the image has no pixels to show, in words; '' when it has."""
    if image.source == "MOVIE":
        return f"“{image.name}” is animated; save one frame of it as PNG or JPEG and load that."
    if all(image.size):
        return ""
    if image.source == "FILE" and not image.packed_file and not _file(image):
        return (
            f"The file of “{image.name}” is missing; put it back and load it again, "
            "or choose File › External Data › Find Missing Files."
        )
    return (
        f"Blender cannot read “{image.name}” as one picture: it may be cut off, or an EXR of several layers "
        "as Cryptomatte is; save it as PNG or JPEG and load that."
    )


def size(image: bpy.types.Image) -> tuple[int, int]:
    """(height, width) in pixels. Raises ArtistError when the image has no pixels to show."""
    sentence = trouble(image)
    if sentence:
        raise ArtistError(sentence)
    width, height = image.size
    return height, width


def pixels(image: bpy.types.Image) -> np.ndarray:
    """(H, W, 4) float32, top row first: sRGB values of byte images, linear values of float images."""
    height, width = size(image)
    values = np.empty(height * width * 4, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(height, width, 4)[::-1]


def display_colors(image: bpy.types.Image, step: int = 1) -> np.ndarray:
    """(h, w, 3) float32 sRGB of every step-th pixel each way, top row first."""
    colors = pixels(image)[::step, ::step, :3]
    return srgb_from_linear(colors) if image.is_float else colors


def rgb(image: bpy.types.Image) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, top row first; not to be written to."""
    global _rgb
    known = (image.session_uid, image.sam3d.file_digest, image.colorspace_settings.name, size(image))
    if not image.sam3d.file_digest or image.is_dirty or image.packed_file:  # packed it may hold other pixels
        return _converted(image)
    if _rgb is None or _rgb[0] != known:
        _rgb = known, _converted(image)
    return _rgb[1]


def content(image: bpy.types.Image) -> Path | np.ndarray:
    """What another program reads to see the same photo: its file, or its `rgb` where no file shows it.

    Raises ArtistError when the file is no longer the one that was loaded.
    """
    check_unchanged(image)
    path = _file(image)
    is_as_filed = path and image.source == "FILE" and not image.is_dirty and not image.is_float
    if is_as_filed and not image.packed_file:
        is_as_filed = _orientation_of(path, *_facts(path)) == 1  # else it was not turned here, and looks so
    return path if is_as_filed else rgb(image)


def is_file_of(image: bpy.types.Image, path: Path) -> bool:
    """Whether an existing file is the one that the image was loaded from."""
    own = _file(image)
    return own is not None and own.samefile(path)


def file_pixels(path: str | Path) -> np.ndarray:
    """(H, W, 4) float32 of what an image file holds now, as `pixels`, unmanaged. Raises ArtistError as `load`
    does."""
    image = _opened(Path(bpy.path.abspath(str(path))), check_existing=False)
    try:
        image.colorspace_settings.is_data = True
        return pixels(image)
    finally:
        bpy.data.images.remove(image)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a (H, W) bool mask as PNG, white on black. Raises ArtistError when the folder refuses it."""
    height, width = mask.shape
    image = bpy.data.images.new(path.stem, width, height)
    try:
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = mask[::-1, :, None]
        image.pixels.foreach_set(rgba.ravel())
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
    except RuntimeError as error:
        raise ArtistError(f"“{path}” cannot be written; choose a folder that you may write to.") from error
    finally:
        bpy.data.images.remove(image)


def _converted(image: bpy.types.Image) -> np.ndarray:
    return np.rint(np.clip(display_colors(image), 0.0, 1.0) * 255).astype(np.uint8)


def _file(image: bpy.types.Image) -> Path | None:
    path = Path(bpy.path.abspath(image.filepath, library=image.library)) if image.filepath else None
    return path if path and path.is_file() else None


def _renewed(image: bpy.types.Image) -> bpy.types.Image:
    """The image with what its file holds now, or another image if the masks of this one cannot fit."""
    new = bpy.data.images.load(image.filepath, check_existing=False)
    try:
        check(new)
    except ArtistError:
        bpy.data.images.remove(new)
        raise
    adopt(new)
    texts = [text for prompt in image.sam3d.prompts for text in (prompt.mask, prompt.added, prompt.erased)]
    if any(masks.size_of(text) != size(new) for text in texts if text):
        return new
    bpy.data.images.remove(new)
    if image.packed_file:
        image.unpack(method="REMOVE")
    image.reload()
    adopt(image)
    for prompt in image.sam3d.prompts:
        if prompt.mask_key:
            prompt.mask_key = f"of {image.sam3d.file_digest}"
    return image


def _digest(path: Path) -> str:
    return _digest_of(path, *_facts(path))


def _facts(path: Path) -> tuple[int, int]:
    """What changes with a file's content, and is read more quickly."""
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


@functools.lru_cache(maxsize=16)
def _digest_of(path: Path, *_facts: int) -> str:
    """Of the file's content, which is read again only when the facts have changed."""
    return hashlib.sha1(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=16)
def _orientation_of(path: Path, *_facts: int) -> int:
    """As `exif.orientation` of the file's content, which is read again only when the facts have changed."""
    return exif.orientation(path.read_bytes())


def _open(path: str | Path) -> tuple[bpy.types.Image, bool]:
    """The image of a file, and whether it is new."""
    known = set(bpy.data.images)
    image = _opened(Path(bpy.path.abspath(str(path))), check_existing=True)
    is_new = image not in known
    if is_new and bpy.data.is_saved and bpy.context.preferences.filepaths.use_relative_paths:
        with contextlib.suppress(ValueError):  # on Windows another drive is not to be had from here
            image.filepath_raw = bpy.path.relpath(image.filepath)
    return image, is_new


def _opened(path: Path, check_existing: bool) -> bpy.types.Image:
    if not path.is_file():
        raise ArtistError(f"There is no file “{path}”; choose an image file.")
    try:
        return bpy.data.images.load(str(path), check_existing=check_existing)
    except RuntimeError as error:
        raise ArtistError(f"“{path}” cannot be opened; allow reading it, or copy it elsewhere.") from error


def _turn_upright(image: bpy.types.Image) -> None:
    """Turn the image as what it was read from asks; one that was painted on is left as the artist has it."""
    path = _file(image)
    if trouble(image) or image.source != "FILE" or image.is_dirty or not (image.packed_file or path):
        return
    packed = image.packed_file
    orientation = exif.orientation(packed.data) if packed else _orientation_of(path, *_facts(path))
    if orientation == 1:
        return
    turned = np.ascontiguousarray(exif.upright(pixels(image), orientation)[::-1])
    height, width = turned.shape[:2]
    image.scale(width, height)
    image.pixels.foreach_set(turned.ravel())
    image.update()
    image.pack()
