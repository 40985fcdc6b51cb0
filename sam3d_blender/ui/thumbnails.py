"""Small pictures of the objects of a photo, for its list."""

import bpy
import bpy.utils.previews
import numpy as np

from ..core.shapes import Shape
from ..scene import photo as photos

SIDE = 48
"""Pixels of an icon; lists show it at 20, or 40 on dense displays."""

MARGIN = 0.08
"""Of the object's longer side, around it."""

LONGEST_SIDE = 1024
"""Of the photo from which icons are taken."""

_previews = None
_drawn: dict[str, tuple[tuple, np.ndarray]] = {}
"""By prompt: what the photo that its icon shows is known by, and the mask."""

_photo: tuple[tuple, np.ndarray] | None = None
"""What the last photo that icons were taken from is known by, and that photo made small."""


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()


def unregister() -> None:
    global _photo
    bpy.utils.previews.remove(_previews)
    _drawn.clear()
    _photo = None


def icon(image: bpy.types.Image, uuid: str, shape: Shape) -> int:
    """The icon of a prompt's object; drawn again only when the mask or the photo has changed."""
    known = (image.session_uid, image.sam3d.file_digest, tuple(image.size))
    drawn = _drawn.get(uuid)
    if drawn is None or drawn[0] != known or drawn[1] is not shape.mask:
        _forget_removed()
        preview = _previews.get(uuid) or _previews.new(uuid)
        preview.icon_size = (SIDE, SIDE)
        preview.icon_pixels_float.foreach_set(cutout(_small(image, known), shape.mask, SIDE)[::-1].ravel())
        _drawn[uuid] = known, shape.mask
    return _previews[uuid].icon_id


def _forget_removed() -> None:
    """Let go of the icons of prompts that are in no photo any more."""
    there = {prompt.uuid for image in bpy.data.images for prompt in image.sam3d.prompts}
    for uuid in _drawn.keys() - there:
        del _drawn[uuid], _previews[uuid]


def cutout(rgb: np.ndarray, mask: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 4) float32 sRGB with straight alpha: the object filling a square, the rest transparent.

    rgb: (h, w, 3) of any size, mask: (H, W) bool of the same picture; both top row first.
    """
    rgba = np.zeros((side, side, 4), np.float32)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return rgba
    ends = np.array([[rows[0], rows[-1] + 1], [columns[0], columns[-1] + 1]])
    reach = (1 + 2 * MARGIN) * np.ptp(ends, axis=1).max()
    samples = (np.arange(3 * side) + 0.5) / (3 * side) - 0.5
    at = np.floor(ends.mean(axis=1)[:, None] + samples * reach).astype(int)
    height, width = mask.shape
    inside = ((at[0] >= 0) & (at[0] < height))[:, None] & ((at[1] >= 0) & (at[1] < width))
    y, x = at[0].clip(0, height - 1), at[1].clip(0, width - 1)
    alpha = (mask[y[:, None], x] & inside).astype(np.float32)
    colors = rgb[(y * rgb.shape[0] // height)[:, None], x * rgb.shape[1] // width]
    alpha, weighted = (_averaged(values) for values in (alpha[..., None], colors * alpha[..., None]))
    rgba[..., :3], rgba[..., 3:] = weighted / np.maximum(alpha, 1e-6), alpha
    return rgba


def _averaged(samples: np.ndarray) -> np.ndarray:
    """(3 n, 3 n, C) → (n, n, C)."""
    side = len(samples) // 3
    return samples.reshape(side, 3, side, 3, -1).mean(axis=(1, 3))


def _small(image: bpy.types.Image, known: tuple) -> np.ndarray:
    global _photo
    if _photo is None or _photo[0] != known:
        step = -(-max(image.size) // LONGEST_SIDE)
        _photo = known, photos.display_colors(image, step)
    return _photo[1]
