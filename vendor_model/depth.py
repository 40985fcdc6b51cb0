"""From a photo to its point map: by the depth model or from outside (spec pipeline.md §3, moge.md §6)."""

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.errors import PhotoError
from vendor_model.focal import fit_focal, intrinsics_px
from vendor_model.layout.frames import points_from_depth
from vendor_model.models.moge import MoGe
from vendor_model.types import Photo, PointMap

OPENCV_TO_CAMERA = np.array([-1, -1, 1], dtype=np.float32)
"""x right, y down, z forward to x left, y up, z forward, and back."""


FARTHEST = 65504.0
"""The largest number of a half-precision EXR. Renderers write it, or more, where there is nothing."""

ASPECT_TOLERANCE = 0.02


def estimate_point_map(model: MoGe, photo: Photo) -> PointMap:
    """Run the depth model once on the whole photo; all its objects share the result.

    A focal length that the photo knows is kept, else it is estimated. Raises PhotoError when the model
    finds no surface or no camera.
    """
    height, width = photo.size
    image = torch.from_numpy(np.ascontiguousarray(photo.rgb)).permute(2, 0, 1).float() / 255
    focal = None if photo.focal_px is None else photo.focal_px / (math.hypot(width, height) / 2)
    points, focal = model.infer(image, focal)
    # The shift can push points behind the camera; no photo shows those.
    points = points.where(points[..., 2:] > 0, torch.nan).cpu().numpy()
    return _point_map(to_camera_axes(points), focal)


def external_point_map(known: np.ndarray, size: tuple[int, int], focal_px: float | None = None) -> PointMap:
    """A point map from elsewhere, brought to the photo's size by nearest sampling.

    known: points (h, w, 3) in camera axes (x left, y up, z forward), or depth (h, w) along the camera's axis;
    unknown where it is not finite, not in front of the camera, or at FARTHEST. size: (H, W). focal_px: of the
    photo, estimated from points if None. Raises PhotoError for a map of another aspect, that shows nothing
    or in other axes, and for depth without a focal length.
    """
    (height, width), (rows, columns) = size, known.shape[:2]
    if not known.size or abs(columns * height / (rows * width) - 1) > ASPECT_TOLERANCE:
        raise PhotoError(
            f"The depth is {columns} x {rows} and the photo {width} x {height} pixels: "
            "give the depth of this very picture, at any resolution."
        )
    known = _with_gaps(known.reshape(rows, columns, -1).astype(np.float32))
    depth = known[..., -1:]
    known = np.where((depth > 0) & (depth < FARTHEST), known, np.float32(np.nan))
    if not np.isfinite(known).any():
        raise PhotoError(
            "Nothing of the depth lies in front of the camera: "
            "give distances above zero, and of points z forward, x left and y up."
        )
    focal = None if focal_px is None else focal_px / (math.hypot(*size) / 2)
    is_depth = known.shape[2] == 1
    if not is_depth:
        _check_axes(known)
    layers = torch.from_numpy(known).permute(2, 0, 1)[None]
    points = F.interpolate(layers, size, mode="nearest")[0].permute(1, 2, 0).numpy()
    if not is_depth:
        if focal is None:
            opencv = torch.from_numpy(points * OPENCV_TO_CAMERA)
            # The points stay where they were given, so the camera must fit them without a shift.
            focal = fit_focal(opencv, opencv.isfinite().all(dim=-1))
    elif focal is None:
        raise PhotoError(
            "A depth map fits any lens and the photo's file does not name its own: "
            "give the focal length, or a point map instead."
        )
    else:
        points = _with_gaps(points_from_depth(points[..., 0], intrinsics_px(focal, width, height)))
    return replace(_point_map(points, focal), handed_in=True)


def to_camera_axes(points: np.ndarray) -> np.ndarray:
    """(H, W, 3) OpenCV axes, not finite where invalid -> camera axes, NaN in all three there."""
    return _with_gaps(points * OPENCV_TO_CAMERA)


def clip_far(points: np.ndarray, mask: np.ndarray, factor: float) -> np.ndarray:
    """NaN where |depth| exceeds factor times the object's median depth.

    points: (H, W, 3); mask: (H, W) bool, the object.
    """
    depth = torch.from_numpy(points[..., 2])
    median = depth[torch.from_numpy(mask)].nanmedian()  # the lower one of two, unlike numpy's
    return np.where((depth.abs() > factor * median).numpy()[..., None], np.float32(np.nan), points)


def preview(points: np.ndarray, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours in 0..1, (h, w, 3) each, of a point cloud for the screen; less for large photos."""
    colors = torch.from_numpy(np.ascontiguousarray(rgb)).float() / 255
    small = [preview_image(image.permute(2, 0, 1)) for image in (torch.from_numpy(points), colors)]
    return tuple(image.permute(1, 2, 0).numpy() for image in small)


def preview_image(image: Tensor) -> Tensor:
    """(C, H, W) -> (C, h, w): a half above 1200 pixels of the longer side, a quarter above 1900.

    A NaN spreads to the pixels that would mix it in (spec pipeline.md §2).
    """
    longer = max(image.shape[-2:])
    factor = 0.25 if longer > 1900 else 0.5 if longer > 1200 else 1.0
    if factor == 1.0:
        return image
    return F.interpolate(
        image[None],
        scale_factor=factor,
        mode="bilinear",
        align_corners=False,
        antialias=True,
        recompute_scale_factor=False,
    )[0]


def _with_gaps(points: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(points).all(axis=-1, keepdims=True), points, np.float32(np.nan))


def _check_axes(points: np.ndarray) -> None:
    """Raises PhotoError unless x grows to the left of the picture and y upwards."""
    known = np.isfinite(points).all(axis=-1)
    directions = points[known][:, :2] / points[known][:, 2:]
    rows, columns = np.nonzero(known)
    for name, slopes, places in (("x", directions[:, 0], columns), ("y", directions[:, 1], rows)):
        # Of a pinhole camera both are linear in the pixel's place, whatever the scene.
        if np.dot(slopes - slopes.mean(dtype=np.float64), places - places.mean()) > 0:
            raise PhotoError(
                f"The points' {name} runs the wrong way: give x left, y up and z forward; "
                "those of OpenCV want x and y times -1."
            )


def _point_map(points: np.ndarray, focal: float) -> PointMap:
    if not np.isfinite(points[..., 2]).any():
        raise PhotoError("No surface was found in the photo; use one that shows solid things in good light.")
    if not (math.isfinite(focal) and focal > 0):
        raise PhotoError(
            f"No camera fits the photo (focal length {focal:.3g}); use an ordinary, undistorted photo."
        )
    return PointMap(points, intrinsics_px(focal, points.shape[1], points.shape[0]))
