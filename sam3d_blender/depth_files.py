"""Depth of the photo from a scanner, a render or another program. Refusals are `ArtistError`s."""

import contextlib
import os
from pathlib import Path

import bpy
import numpy as np

from .core import depth
from .core.errors import ArtistError
from .core.frames import SENSOR_WIDTH
from .scene import photo as photos
from .selection import current_photo


def set_depth(path: str | Path) -> None:
    """Have the photo's objects made to measure: with the depth in a file in place of the depth model's.

    An .exr of one layer whose first channel is the depth along the camera's axis, as Blender's Depth pass, or
    a .npy that holds the same, or points (h, w, 3), x left, y up, z forward. At any resolution; the objects
    come out in its unit of length.
    """
    photo = current_photo()
    path = Path(bpy.path.abspath(str(path)))
    _read(path, photo)
    photo.sam3d.depth_file = _from_photo(photo, path)


def clear_depth() -> None:
    """Leave the photo's depth to the depth model again."""
    current_photo().sam3d.depth_file = ""


def known_depth(photo: bpy.types.Image) -> np.ndarray | None:
    """As `core.depth.check`, of the photo's depth file; None when it has none."""
    told = photo.sam3d.depth_file
    return _read(_folder(photo) / told, photo) if told else None


def focal_length(photo: bpy.types.Image) -> float | None:
    """In pixels, of the lens that the artist gave; None when they gave none."""
    return photo.sam3d.lens / SENSOR_WIDTH * photos.size(photo)[1] if photo.sam3d.lens else None


def _folder(photo: bpy.types.Image) -> Path:
    return Path(bpy.path.abspath(photo.filepath, library=photo.library)).parent


def _from_photo(photo: bpy.types.Image, path: Path) -> str:
    """The path from the photo's folder on, if the preferences want relative ones: Blender keeps track of the
    photo, but not of files that only an add-on knows."""
    if photo.filepath and bpy.context.preferences.filepaths.use_relative_paths:
        with contextlib.suppress(ValueError):  # on Windows another drive is not to be had from here
            return Path(os.path.relpath(path, _folder(photo))).as_posix()
    return str(path)


def _read(path: Path, photo: bpy.types.Image) -> np.ndarray:
    if not path.is_file():
        raise ArtistError(f"There is no file “{path}”; choose the depth file again, or remove it.")
    suffix = path.suffix.lower()
    if suffix == ".exr":
        try:
            rgba = photos.file_pixels(path)
        except ArtistError as error:
            raise ArtistError(
                f"“{path.name}” is not an .exr of one layer; save the Depth pass alone, or give a .npy."
            ) from error
        values = depth.from_channels(rgba, path.name)
    elif suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArtistError(f"“{path}” cannot be read; choose a .npy file of numbers.") from error
        if not isinstance(values, np.ndarray):
            raise ArtistError(f"“{path}” holds several arrays; choose a .npy file of one.")
    else:
        raise ArtistError(f"“{path.name}” is not a depth file; choose an .exr or a .npy.")
    return depth.check(values, photos.size(photo), path.name)
