"""Which way up a photo is: the one EXIF tag that Blender ignores when it loads an image."""

import struct

import numpy as np

_ORIENTATION = 0x0112
_MARKERS = ((b"Exif\0\0", 6), (b"eXIf", 4), (b"EXIF", 8))
"""Before the TIFF header in JPEG, in PNG and in WebP (there with a four-byte length), and how far."""


def orientation(data: bytes) -> int:
    """The EXIF orientation 1..8 of a JPEG, PNG, WebP or TIFF file's bytes; 1, upright, where none is told."""
    starts = [0, *(data.find(marker) + skip for marker, skip in _MARKERS if marker in data)]
    for start in starts:
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
        if order is not None:
            return _read_tag(data[start:], order)
    return 1


def _read_tag(tiff: bytes, order: str) -> int:
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # a damaged tag tells nothing about the photo, which may still be whole
    return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A (H, W, C) image, top row first, turned and mirrored as its EXIF orientation asks."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
