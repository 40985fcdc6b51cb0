"""Masks as text, so that they live in Blender's properties: saved with the file, exact under undo."""

import base64
import zlib

import numpy as np

from .errors import ArtistError

SMALLEST_MASK = 16
"""Pixels; fewer hold no object that could be reconstructed."""


def pack(mask: np.ndarray) -> str:
    """A (H, W) bool mask as ASCII text; a few kilobytes for an object in a 12-megapixel photo."""
    height, width = mask.shape
    bits = zlib.compress(np.packbits(mask).tobytes(), 1)
    return f"{height} {width} {base64.b85encode(bits).decode('ascii')}"


def unpack(text: str) -> np.ndarray:
    """The (H, W) bool mask of a text made by `pack`."""
    height, width, bits = text.split(" ", 2)
    size = int(height) * int(width)
    packed = np.frombuffer(zlib.decompress(base64.b85decode(bits)), np.uint8)
    return np.unpackbits(packed, count=size).reshape(int(height), int(width)).astype(bool)


def from_pixels(rgba: np.ndarray) -> np.ndarray:
    """The (H, W) bool mask that a (H, W, 4) float image means, both top row first.

    An alpha channel that varies is the mask; otherwise everything brighter than middle grey is.
    """
    alpha = rgba[..., 3]
    if alpha.min() < alpha.max():
        return alpha > 0.5
    return rgba[..., :3].mean(axis=-1) > 0.5


def check(mask: np.ndarray, photo_size: tuple[int, int], name: str) -> None:
    """Raise ArtistError unless the mask fits a photo of (height, width) and holds something."""
    height, width = photo_size
    if mask.shape != (height, width):
        raise ArtistError(
            f"Mask “{name}” is {mask.shape[1]} × {mask.shape[0]} pixels and the photo {width} × {height}; "
            "use a mask of the photo's size."
        )
    covered = int(mask.sum())
    if covered < SMALLEST_MASK:
        raise ArtistError(
            f"Mask “{name}” covers {covered} pixels, an object needs at least {SMALLEST_MASK}; "
            "make the object white, or opaque on a transparent ground."
        )
    if covered == mask.size:
        raise ArtistError(
            f"Mask “{name}” covers the whole photo; make everything around the object black or transparent."
        )


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """(H, W) bool: the pixels of the mask that are within `width` pixels of its edge."""
    inner = np.pad(mask, 1)
    for _ in range(width):
        core = inner[1:-1, 1:-1].copy()
        core &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        inner[1:-1, 1:-1] = core
    return mask & ~inner[1:-1, 1:-1]
