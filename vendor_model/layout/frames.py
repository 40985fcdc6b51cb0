"""Frames that a vertex passes on its way to the screen: object → camera → NDC → pixels; and glTF's frame.

All functions take row vectors. Frames (spec layout.md §0): *object* z up; *glb* (x, z, -y) of it, y up;
*camera* x left, y up, z forward; *NDC* x left, y up, the shorter half of the image has length 1.
"""

import numpy as np
import torch

from vendor_model.layout.transforms import quaternion_to_matrix
from vendor_model.types import Pose

OBJECT_TO_GLB = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""(x, y, z) @ OBJECT_TO_GLB = (x, z, -y); its transpose leads back (spec layout.md §3.2)."""

CAMERA_TO_OPENCV = np.diag([-1.0, -1.0, 1.0])
"""Camera frame to OpenCV axes (x right, y down, z forward), and back."""

CAMERA_TO_Z_UP = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""(x, y, z) @ CAMERA_TO_Z_UP = (-x, z, y): the world whose camera looks along +y with z up."""


def camera_from_object(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Places object-frame points (N, 3) in the camera frame, in their own dtype (spec layout.md §1)."""
    rotation = quaternion_to_matrix(torch.from_numpy(np.asarray(pose.rotation, np.float64))).numpy()
    matrix = np.asarray(pose.scale, np.float64)[:, None] * rotation
    return points @ matrix.astype(points.dtype) + np.asarray(pose.translation).astype(points.dtype)


def object_from_camera(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Inverse of `camera_from_object`, float64."""
    rotation = quaternion_to_matrix(torch.from_numpy(np.asarray(pose.rotation, np.float64))).numpy()
    return (points - pose.translation) / pose.scale @ rotation.T


def pixels_from_camera(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Where a photo shows camera-frame points (N, 3): pixels (N, 2), x right and y down, the centre of pixel
    i at i + 0.5. Of points behind the camera they mean nothing."""
    depth = np.maximum(points[:, 2:], 1e-9)
    return intrinsics[:2, 2] - np.diagonal(intrinsics)[:2] * points[:, :2] / depth


def rays_through_pixels(pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Directions (..., 3) in the camera frame, z = 1, of what pixels (..., 2) show."""
    sideways = (intrinsics[:2, 2] - pixels) / np.diagonal(intrinsics)[:2]
    return np.concatenate([sideways, np.ones_like(sideways[..., :1])], axis=-1)


def points_from_depth(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(H, W) depth along the camera's axis -> (H, W, 3) float32 points in the camera frame."""
    centres = np.stack(np.indices(depth.shape)[::-1], axis=-1) + 0.5
    return (rays_through_pixels(centres, intrinsics) * depth[..., None]).astype(np.float32)


def ndc_from_camera(points: torch.Tensor, intrinsics: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Projects camera-frame points (N, 3) to NDC x, y and the unchanged depth z (spec layout.md §4).

    intrinsics: (3, 3) in pixels; size: (height, width) in pixels. Differentiable.
    """
    height, width = size
    half = min(size) / 2
    x, y, z = points.unbind(-1)
    ndc_x = (intrinsics[0, 0] * x / z - intrinsics[0, 2] + width / 2) / half
    ndc_y = (intrinsics[1, 1] * y / z - intrinsics[1, 2] + height / 2) / half
    return torch.stack([ndc_x, ndc_y, z], dim=-1)


def pixels_from_ndc(ndc: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """NDC (..., 2) to pixels, x right and y down, the centre of pixel i at i + 0.5; its own inverse is
    `ndc_from_pixels`."""
    height, width = size
    return ndc.new_tensor([width / 2, height / 2]) - ndc * (min(size) / 2)


def ndc_from_pixels(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pixels (..., 2) to NDC (spec layout.md §4)."""
    height, width = size
    return (pixels.new_tensor([width / 2, height / 2]) - pixels) / (min(size) / 2)


def pixel_intrinsics(normalised: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Intrinsics in units of the image's width and height to pixels; size: (height, width)."""
    height, width = size
    return np.diag([width, height, 1.0]) @ normalised
