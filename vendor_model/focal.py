"""The camera behind a point map: view-plane grid, focal length and depth shift (spec moge.md §3.1, §5).

The focal length here is in units of half the image diagonal, so that it does not depend on resolution:
focal_px = focal * hypot(width, height) / 2. Pixels are square and the principal point is the centre.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import least_squares
from torch import Tensor

SAMPLES = 64  # side of the grid of points that the recovery looks at, whatever the size of the map


def view_plane_uv(width: int, height: int, aspect: float | None = None, device=None) -> Tensor:
    """Pixel centres on a view plane whose half diagonal is 1: (height, width, 2) float32, u right, v down.

    aspect: of the plane, width over height; that of the grid if None.
    """
    aspect = width / height if aspect is None else aspect
    right = aspect / math.hypot(aspect, 1) * (width - 1) / width
    bottom = 1 / math.hypot(aspect, 1) * (height - 1) / height
    u = torch.linspace(-right, right, width, device=device)
    v = torch.linspace(-bottom, bottom, height, device=device)
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1)


def recover_focal_shift(
    points: Tensor, mask: Tensor | None = None, focal: float | None = None
) -> tuple[float, float]:
    """Focal length and depth shift that make (x, y) / (z + shift) * focal agree with the pixels' places.

    points: (H, W, 3), OpenCV axes; mask: (H, W) bool, pixels to be used, all if None; focal: if known,
    only the shift is sought. With less than two points: focal 1 if not known, shift 0.

    The solver is MINPACK's, with its loose tolerance, because the result depends on where it stops.
    """
    xy, z, uv = _samples(points, mask)
    if len(z) < 2:
        return (1.0 if focal is None else focal), 0.0

    def projected(shift: np.ndarray) -> np.ndarray:
        return xy / (z + shift)[:, None]

    def residuals(shift: np.ndarray) -> np.ndarray:
        projection = projected(shift)
        return ((_best_focal(projection, uv) if focal is None else focal) * projection - uv).ravel()

    shift = least_squares(residuals, x0=np.zeros(1), ftol=1e-3, method="lm").x.astype(np.float32)
    return float(_best_focal(projected(shift), uv) if focal is None else focal), float(shift[0])


def fit_focal(points: Tensor, mask: Tensor) -> float:
    """Focal length of points that are already in their camera's frame, so that no shift is wanted.

    Arguments as recover_focal_shift; 1 with less than two points.
    """
    xy, z, uv = _samples(points, mask)
    return float(_best_focal(xy / z[:, None], uv)) if len(z) > 1 else 1.0


def intrinsics_px(focal: float, width: int, height: int) -> np.ndarray:
    """(3, 3) float64 camera matrix in pixels, OpenCV axes, of a focal length in half diagonals."""
    focal_px = focal * math.hypot(width, height) / 2
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]], dtype=np.float64)


def _best_focal(projection: np.ndarray, uv: np.ndarray) -> np.floating:
    return (projection * uv).sum() / np.square(projection).sum()


def _samples(points: Tensor, mask: Tensor | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """xy (N, 2), z (N,) and view-plane uv (N, 2) at the samples of the grid that the mask keeps."""
    height, width = points.shape[:2]
    keep = slice(None) if mask is None else _sampled(mask[..., None].float())[:, 0] > 0.5
    points, uv = _sampled(points)[keep], _sampled(view_plane_uv(width, height))[keep]
    return points[:, :2], points[:, 2], uv


def _sampled(image: Tensor) -> np.ndarray:
    """(H, W, C) -> (SAMPLES², C), nearest."""
    channels_first = image.detach().permute(2, 0, 1)[None]
    return F.interpolate(channels_first, (SAMPLES, SAMPLES), mode="nearest")[0].flatten(1).T.cpu().numpy()
