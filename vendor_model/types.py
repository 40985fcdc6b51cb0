"""The stations that data passes on its way from photo to object, one frozen record each.

Frames (spec layout.md §0): *object* is the decoded frame, z up, the cube [-0.5, 0.5]³; *camera* is
the PyTorch3D camera frame (x left, y up, z forward, origin at the camera), in the point map's own
unit of length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Progress = Callable[[str, float], None]
"""`progress(stage, fraction)`, fraction in 0..1; may raise `errors.Cancelled`."""


@dataclass(frozen=True)
class Photo:
    """An upright sRGB photo.

    rgb: (H, W, 3) uint8, display-referred. focal_px: focal length in pixels when the file tells it.
    """

    rgb: np.ndarray
    focal_px: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True)
class PointMap:
    """Where each pixel of a photo lies in space.

    points: (H, W, 3) float32, camera frame, NaN in all three where there is no surface.
    intrinsics: (3, 3) float64 in pixels, [[f, 0, cx], [0, f, cy], [0, 0, 1]], OpenCV axes.
    handed_in: whether a scanner or another model made it, rather than this model's depth.
    """

    points: np.ndarray
    intrinsics: np.ndarray
    handed_in: bool = False


@dataclass(frozen=True)
class Pose:
    """Object to camera frame: p_camera = scale * (p_object @ R(rotation)) + translation, row vectors.

    rotation: (4,) float64 quaternion (w, x, y, z); translation: (3,); scale: (3,), isotropic.
    Because rows are multiplied, R(rotation)ᵀ turns a column vector (spec layout.md §0).
    """

    rotation: np.ndarray
    translation: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in the object frame.

    vertices: (V, 3) float32; faces: (F, 3) int32, counter-clockwise seen from outside;
    colors: (V, 3) float32 in 0..1, display-referred (sRGB) albedo.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray


@dataclass(frozen=True)
class Gaussians:
    """Activated Gaussian splats, N of them, in the frame that the owner says.

    positions: (N, 3); scales: (N, 3) standard deviations, kernel floor included; rotations: (N, 4)
    quaternions (w, x, y, z) of any length, rotating splat axes into the frame as column vectors;
    opacities: (N,) in 0..1; colors_dc: (N, 3) spherical-harmonic band 0. All float32.
    kernel: standard deviation of the 3D filter, the smallest scale a splat can have.
    """

    positions: np.ndarray
    scales: np.ndarray
    rotations: np.ndarray
    opacities: np.ndarray
    colors_dc: np.ndarray
    kernel: float


@dataclass(frozen=True)
class Reconstruction:
    """One object of a photo: shape in the object frame, and where it stands in the camera frame.

    mask_iou: overlap of the object's silhouette, through the photo's camera, with its mask.
    """

    surface: Surface
    gaussians: Gaussians
    pose: Pose
    mask_iou: float
