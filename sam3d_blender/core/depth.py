"""What a depth file says of a photo, checked before anything relies on it."""

import numpy as np

from .errors import ArtistError

ASPECT_TOLERANCE = 0.02
LEAST_KNOWN = 0.01
"""Share of the picture that must have a depth."""

FARTHEST = 65504.0
"""No depth from here on; see `vendor_model.depth`."""


def from_channels(rgba: np.ndarray, name: str) -> np.ndarray:
    """Depth (H, W) of an image (H, W, 4) that holds nothing else. Raises ArtistError for one with colours."""
    red, green, blue = np.moveaxis(rgba[..., :3], -1, 0)
    is_grey = np.array_equal(red, green, equal_nan=True) and np.array_equal(red, blue, equal_nan=True)
    if not is_grey and (green.any() or blue.any()):
        raise ArtistError(f"“{name}” holds colours; save the Depth pass alone, as an .exr of one layer.")
    return red


def check(values: np.ndarray, photo_size: tuple[int, int], name: str) -> np.ndarray:
    """Depth (h, w) along the camera's axis, or points (h, w, 3), x left, y up, z forward, as float32.

    photo_size: (height, width). Raises ArtistError for what is neither, for another picture's, or for one
    that knows next to nothing.
    """
    if values.dtype.kind not in "fiu" or not (
        values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    ):
        raise ArtistError(
            f"“{name}” holds {values.dtype} of shape {values.shape}; "
            "give depth as numbers (height, width), or points (height, width, 3)."
        )
    height, width = values.shape[:2]
    ratio = (width / height) / (photo_size[1] / photo_size[0]) if values.size else 0.0
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise ArtistError(
            f"“{name}” is {width} × {height} and the photo {photo_size[1]} × {photo_size[0]}; "
            "give the depth of this very picture, at any resolution."
        )
    depth = values if values.ndim == 2 else values[..., 2]
    if ((depth > 0) & (depth < FARTHEST)).mean() < LEAST_KNOWN:
        raise ArtistError(
            f"“{name}” has no depth in front of the camera; give distances along the view, larger than zero."
        )
    return values.astype(np.float32)
