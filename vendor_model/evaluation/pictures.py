"""A sheet to judge a model by eye: what it saw, what it made of it, and the truth where that is known.

A row of tiles an object: the photo with the mask's outline; the reconstruction from the camera's side and
from its right; the true form, if known, from the same two, grey. Forms fill their tiles, so that they, not
places, are compared.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch

from vendor_model.errors import UserError
from vendor_model.evaluation.clouds import interpolated, spread
from vendor_model.evaluation.subjects import KnownPhoto, quietly, seen
from vendor_model.layout.transforms import quaternion_to_matrix
from vendor_model.pipeline import PhotoScene, Pipeline
from vendor_model.types import Photo

TILE = 160
"""Pixels along a side."""
DOTS = 500_000
"""Points that a form is drawn with."""
GREY = 0.65
LIGHT = np.array([0.4, 0.6, -0.7])
"""Towards the lamp, camera frame: x left, y up, z away."""
ASIDE = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""Turns rows so that what was right faces the viewer."""


def sheet(
    pipeline: Pipeline, photos: Iterable[KnownPhoto], seed: int, true_points: bool, columns: int = 2
) -> np.ndarray:
    """(H, W, 3) uint8, every object of photos whose truth is known. true_points: the model is given camera
    and point map."""
    rows = []
    for known in photos:
        try:
            scene, _ = seen(pipeline, known, true_points)
        except UserError:
            scene = None
        for subject in known.subjects:
            grey = np.full_like(subject.vertices, GREY)
            truth = both_sides(subject.vertices @ subject.placement[:3, :3], subject.faces, grey)
            made = _made(pipeline, scene, subject.mask, seed)
            rows.append(np.concatenate([outlined(known.rgb, subject.mask), *made, *truth], axis=1))
    return _columns(rows, columns)


def photo_sheet(
    pipeline: Pipeline, photos: Iterable[tuple[Photo, Sequence[np.ndarray]]], seed: int, columns: int = 3
) -> np.ndarray:
    """(H, W, 3) uint8, every object of photos with masks (H, W) bool, nothing else of which is known.
    Raises PhotoError, MaskError."""
    rows = []
    for photo, masks in photos:
        scene = pipeline.set_photo(photo, quietly)
        for mask in masks:
            tiles = [outlined(photo.rgb, mask), *_made(pipeline, scene, mask, seed)]
            rows.append(np.concatenate(tiles, axis=1))
    return _columns(rows, columns)


def _columns(rows: list[np.ndarray], columns: int) -> np.ndarray:
    """Rows of tiles side by side, in reading order."""
    blank = np.full_like(rows[0], 255)
    rows += [blank] * (-len(rows) % columns)
    return np.concatenate(
        [np.concatenate(rows[start : start + columns], axis=1) for start in range(0, len(rows), columns)]
    )


def _made(pipeline: Pipeline, scene: PhotoScene | None, mask: np.ndarray, seed: int) -> list[np.ndarray]:
    """Two tiles of an object's reconstruction; white ones where the model finds none."""
    blank = [np.full((TILE, TILE, 3), 255, np.uint8)] * 2
    if scene is None:
        return blank
    try:
        [made] = pipeline.reconstruct(scene, [mask], seed, quietly, refine_layout=False)
    except UserError:
        return blank
    turn = quaternion_to_matrix(torch.as_tensor(made.pose.rotation)).numpy()
    return both_sides(made.surface.vertices @ turn, made.surface.faces, made.surface.colors)


def outlined(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(TILE, TILE, 3) uint8: the square of the photo around a mask (H, W), its outline drawn."""
    rows, columns = np.nonzero(mask)
    side = int(1.3 * max(np.ptp(rows), np.ptp(columns))) + 4
    corner = np.array([rows.min() + rows.max() - side, columns.min() + columns.max() - side]) // 2
    top, left = corner + side

    def cut(pixels: np.ndarray, around: int) -> np.ndarray:
        room = np.pad(pixels, ((side, side), (side, side), (0, 0)), constant_values=around)
        square = room[top : top + side, left : left + side]
        return cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA)

    picture, covered = cut(rgb, 255), cut(255 * mask[..., None].astype(np.uint8), 0) > 127
    edges, _ = cv2.findContours(covered.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(picture, edges, -1, (255, 0, 255), 1)


def both_sides(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> list[np.ndarray]:
    """Two tiles of a form whose vertices (V, 3) are turned as in the camera frame; colours (V, 3) in 0..1."""
    return [drawn(vertices @ turn, faces, colors) for turn in (np.eye(3), ASIDE)]


def drawn(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """(TILE, TILE, 3) uint8: a form as an orthographic camera that looks along z sees it, x left and y up."""
    face, shares = spread(vertices, faces, DOTS, np.random.default_rng(0))
    points, shades = (interpolated(values, faces, face, shares) for values in (vertices, colors))
    a, b, c = vertices[faces].astype(np.float64).swapaxes(0, 1)
    normals = np.cross(b - a, c - a)
    normal = (normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(min=1e-12))[face]
    lit = 0.5 + 0.5 * np.abs(normal @ (LIGHT / np.linalg.norm(LIGHT)))
    low, high = points.min(0), points.max(0)
    x, y, z = ((points - (low + high) / 2) / (high - low)[:2].max() * 0.92).T
    row, column = (np.array([0.5 - y, 0.5 - x]) * TILE).astype(int).clip(0, TILE - 1)
    far_first = np.argsort(-z)
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    tile[row[far_first], column[far_first]] = (255 * (shades * lit[:, None]).clip(0, 1))[far_first]
    return tile
