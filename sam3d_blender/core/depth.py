"""What a depth file says of a photo, checked before anything relies on it."""

import numpy as np

from .errors import ArtistError

FARTHEST = 65504.0
"""The largest number of a half-precision EXR. Renderers write it, or more, where there is nothing."""

ASPECT_TOLERANCE = 0.02
LEAST_KNOWN = 0.01
"""Share of the picture that must have a depth."""


def from_array(values: np.ndarray, photo_size: tuple[int, int], name: str) -> np.ndarray:
    """Depth (h, w) along the camera's axis, or points (h, w, 3), x left, y up, z forward: float32, top row
    first, NaN where unknown, which is what is not finite, not in front of the camera, or at FARTHEST.

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
    found = values.astype(np.float32)
    depth = found if found.ndim == 2 else found[..., 2]
    known = np.isfinite(found.reshape(height, width, -1)).all(axis=-1) & (depth > 0) & (depth < FARTHEST)
    if known.mean() < LEAST_KNOWN:
        raise ArtistError(
            f"“{name}” has no depth in front of the camera; give distances along the view, larger than zero."
        )
    return np.where(known if found.ndim == 2 else known[..., None], found, np.float32(np.nan))
