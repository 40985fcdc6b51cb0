"""Masks as text, so that they live in Blender's properties: saved with the file, exact under undo."""

import base64
import hashlib
import zlib

import numpy as np

from .errors import ArtistError

SMALLEST_MASK = 16
"""Pixels; fewer hold no object that could be reconstructed."""

SMALL_MASK = 32 * 32
"""Pixels; fewer are reconstructed, with a warning: the model looks at objects in some 500 × 500."""

GREY = (0.2, 0.8)
"""Between these an image is neither object nor background ..."""

MOST_GREY = 0.25
"""... which the soft edge of a mask may be, but not this much of the picture: then it is no mask."""

MOST_INDICES = 255
"""Objects in an index image; more colours than that are a photo, or have smooth edges."""


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
    return np.unpackbits(packed, count=size).reshape(int(height), int(width)).view(bool)


def size_of(text: str) -> tuple[int, int]:
    """(height, width) of the mask of a text made by `pack`."""
    height, width, _ = text.split(" ", 2)
    return int(height), int(width)


def from_pixels(rgba: np.ndarray, name: str) -> np.ndarray:
    """The (H, W) bool mask that a (H, W, 4) float image means, both top row first.

    An alpha channel that varies is the mask; otherwise the brightness is. Grey, as at soft edges, belongs to
    the object above one half; an image that is mostly grey is refused with ArtistError.
    """
    alpha = rgba[..., 3]
    levels = alpha if alpha.min() < alpha.max() else rgba[..., :3].mean(axis=-1)
    grey = ((levels > GREY[0]) & (levels < GREY[1])).mean()
    if grey > MOST_GREY:
        raise ArtistError(
            f"{grey:.0%} of “{name}” is grey and a mask is black and white; make the object white and "
            "all else black, or load it as an index image if each object has a value of its own."
        )
    return levels > 0.5


def from_indices(rgba: np.ndarray, name: str) -> list[np.ndarray]:
    """The (H, W) bool masks of an index image (H, W, 4) float, top row first: one for each of its colours.

    Black and fully transparent pixels are background. The masks are in the order of their colours, darkest
    first. Raises ArtistError when there is no colour or more than MOST_INDICES.
    """
    levels = np.rint(np.clip(rgba[..., :3], 0, 1) * 65535).astype(np.int64) * (rgba[..., 3:] > 0)
    red, green, blue = np.moveaxis(levels, -1, 0)
    codes, places = np.unique(red << 32 | green << 16 | blue, return_inverse=True)
    places = places.reshape(rgba.shape[:2])
    count = int(np.count_nonzero(codes))
    if not 0 < count <= MOST_INDICES:
        raise ArtistError(
            f"“{name}” has {count} colours besides black; an index image has one flat colour for each "
            f"object, at most {MOST_INDICES}, and no smooth edges."
        )
    return [places == index for index in np.flatnonzero(codes)]


def digest(mask: np.ndarray) -> str:
    """What a (H, W) bool mask is known by."""
    return hashlib.sha1(np.packbits(mask)).hexdigest()


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
            "make the object white, or opaque on a transparent background."
        )
    if covered == mask.size:
        raise ArtistError(
            f"Mask “{name}” covers the whole photo; make everything around the object black or transparent."
        )


def warning(mask: np.ndarray, whole: np.ndarray) -> str:
    """What to know before reconstructing a mask, in words; '' when there is nothing.

    mask: what is left of the object's `whole` mask beside smaller objects. Both (H, W) bool.
    """
    area = int(np.count_nonzero(mask))
    if area < SMALLEST_MASK:
        return f"Smaller objects take all but {area} of its pixels" if whole.any() else "Its mask is empty"
    sentences = []
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        sentences.append("Touches the edge of the photo; what lies beyond will be guessed.")
    if area < SMALL_MASK:
        sentences.append(f"Only {area} pixels; a closer photo would show more of it.")
    return " ".join(sentences)


def shrunk(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the mask without the pixels that have a neighbour outside it, or outside the picture."""
    inner = np.pad(mask, 1)
    return mask & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """(H, W) bool: the pixels of the mask that are within `width` pixels of its edge."""
    inner = mask
    for _ in range(width):
        inner = shrunk(inner)
    return mask & ~inner
