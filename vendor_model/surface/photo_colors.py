"""Colours that the camera saw: what the photo shows of an object replaces what the model guessed of it.

Where a vertex is seen, the photo tells its colour. The difference to the model's colour spreads smoothly over
the rest of the surface, so that the hidden side keeps the model's pattern in the photo's tones. The photo's
light and shade come along; the model's own colours are unlit.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from vendor_model.layout.frames import camera_from_object, pixels_from_camera
from vendor_model.surface.gaussians import BAND_0
from vendor_model.types import Gaussians, Pose, Surface

FACING = (0.1, 0.5)
"""Cosine between a vertex's normal and its ray to the camera at which the photo begins to count, and where it
counts in full."""

CELL = 2.0
"""Side of the depth buffer's cells in edge lengths: wide enough that a surface leaves none of them empty."""

BEHIND = 0.04
"""How far, in object sizes, a vertex may lie behind the nearest one of its cell and still be seen."""

RIM = 0.01
"""Width of the mask's border, in sizes of its box, whose pixels mix with the background."""

TRUST = 4.0
"""Pull of a seen vertex on the difference, in edges."""

RETURN = 1e-3
"""Pull of the mean difference everywhere: it rules what no edge connects to anything seen."""


def color_from_photo(
    surface: Surface,
    gaussians: Gaussians,
    pose: Pose,
    rgb: np.ndarray,
    mask: np.ndarray,
    intrinsics: np.ndarray,
) -> tuple[Surface, Gaussians]:
    """Surface and splats of an object, both in the object frame, coloured by the photo where it shows them.

    rgb: (H, W, 3) uint8; mask: (H, W) bool, the object's visible pixels;
    intrinsics: (3, 3) in pixels. Nothing changes where no vertex is
    seen.
    """
    colors, weights = seen_colors(surface, pose, rgb, mask, intrinsics)
    if not weights.any():
        return surface, gaussians
    difference = spread(colors - surface.colors, weights, surface.faces)
    shifted = np.clip(surface.colors + difference, 0, 1).astype(np.float32)
    _, nearest = cKDTree(surface.vertices).query(gaussians.positions)
    splats = gaussians.colors_dc + (difference[nearest] / BAND_0).astype(np.float32)
    return replace(surface, colors=shifted), replace(gaussians, colors_dc=splats)


def seen_colors(
    surface: Surface, pose: Pose, rgb: np.ndarray, mask: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The photo's colours (V, 3) in 0..1 at the vertices, and how far each can be trusted: (V,) in 0..1."""
    points = camera_from_object(surface.vertices, pose).astype(np.float64)
    pixels = pixels_from_camera(points, intrinsics)
    size = float(pose.scale.mean())
    edges = pixels[surface.faces[:, 1]] - pixels[surface.faces[:, 0]]
    # A model that errs may put an object behind the camera, where pixels mean nothing.
    spacing = float(np.median(np.linalg.norm(edges, axis=1)).clip(0.1, max(mask.shape)))
    seen = facing(points, surface.faces) * (points[:, 2] > 0)
    seen = seen * (points[:, 2] <= nearest_depth(pixels, points[:, 2], CELL * spacing) + BEHIND * size)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]
    inside = inside > RIM * max(inside.shape)
    blurred = _blur_inside(rgb[box], inside, 0.5 * spacing)
    at = (pixels[:, ::-1] - 0.5 - [box[0].start, box[1].start]).T
    colors = np.stack(
        [
            ndimage.map_coordinates(channel, at, order=1, mode="nearest")
            for channel in np.moveaxis(blurred, 2, 0)
        ],
        axis=-1,
    )
    kept = ndimage.map_coordinates(inside.astype(np.float32), at, order=0, mode="constant")
    return colors, seen * kept


def facing(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """How much each vertex (V, 3) in the camera frame looks at the camera: (V,) in 0..1."""
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(points)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    lengths = np.linalg.norm(total, axis=1) * np.linalg.norm(points, axis=1)
    cosine = -(total * points).sum(1) / np.maximum(lengths, 1e-12)
    return np.clip((cosine - FACING[0]) / (FACING[1] - FACING[0]), 0, 1)


def nearest_depth(pixels: np.ndarray, depth: np.ndarray, cell: float) -> np.ndarray:
    """Least depth among the vertices of each vertex's cell of the picture: (V, 2), (V,) -> (V,)."""
    _, number = np.unique(np.floor(pixels / cell).astype(np.int64), axis=0, return_inverse=True)
    number = number.reshape(-1)
    buffer = np.full(number.max() + 1, np.inf)
    np.minimum.at(buffer, number, depth)
    return buffer[number]


def spread(values: np.ndarray, weights: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Values (V, C) known by weights (V,) spread smoothly along the edges of a mesh: (V, C).

    The minimum of the squared steps along all edges, with known vertices drawn to their values and, barely,
    all to the weighted mean.
    """
    count = len(values)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ones = np.ones(len(ends))
    edges = sparse.coo_matrix((ones, ends.T), (count, count)).tocsr()
    edges = ((edges + edges.T) > 0).astype(np.float64)
    pull = TRUST * weights + RETURN
    mean = weights @ values / weights.sum()
    target = TRUST * weights[:, None] * values + RETURN * mean
    system = sparse.diags(np.asarray(edges.sum(1)).ravel() + pull) - edges
    solve = sparse.linalg.splu(system.tocsc()).solve
    return solve(target)


def _blur_inside(rgb: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """The photo (H, W, 3) in 0..1, each pixel the mean of those around it that lie inside."""
    share = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    kept = (rgb / np.float32(255)) * inside[..., None]
    blurred = ndimage.gaussian_filter(kept, (sigma, sigma, 0))
    return blurred / np.maximum(share, 1e-6)[..., None]
