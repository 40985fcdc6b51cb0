"""Pictures as arrays inside Blender: (H, W, C) float32, sRGB 0..1, top row first."""

from pathlib import Path

import bpy
import numpy as np

MARGIN_PIXELS = 12


def read(path: Path) -> np.ndarray:
    """(H, W, 4) of an image file."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return values.reshape(height, width, 4)[::-1].copy()


def write(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) as PNG."""
    height, width = rgb.shape[:2]
    image = bpy.data.images.new(path.stem, width, height)
    opaque = np.ones((height, width, 4), np.float32)
    opaque[..., :3] = rgb
    image.pixels.foreach_set(opaque[::-1].ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(H, W, 3): RGBA with straight alpha over RGB."""
    alpha = front[..., 3:]
    return front[..., :3] * alpha + back * (1 - alpha)


def painted(
    rgb: np.ndarray, areas: list[np.ndarray], colors: list[np.ndarray], strength: float
) -> np.ndarray:
    """The picture with each (H, W) bool area laid over it in its colour; strength: 0 nothing, 1 opaque."""
    rgb = rgb.copy()
    for area, color in zip(areas, colors, strict=True):
        rgb[area] += strength * (np.asarray(color, np.float32) - rgb[area])
    return rgb


def faded(rgb: np.ndarray) -> np.ndarray:
    """The picture as a quiet grey backdrop."""
    grey = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.repeat(0.35 + 0.4 * grey[..., None], 3, axis=-1)


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """All pictures, of one height, in a row with white between them."""
    gap = np.ones((pictures[0].shape[0], MARGIN_PIXELS, 3), np.float32)
    row = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(row[:-1], axis=1)
