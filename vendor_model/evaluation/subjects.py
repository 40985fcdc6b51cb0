"""A model on photos whose objects are known: what each of them is worth."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from vendor_model.errors import UserError
from vendor_model.evaluation.clouds import cloud
from vendor_model.evaluation.comparison import (
    NO_LAYOUT,
    NO_SHAPE,
    Figures,
    layout_figures,
    shape_figures,
)
from vendor_model.evaluation.metrics import rotation_error
from vendor_model.evaluation.registration import align, unit_box
from vendor_model.layout.transforms import compose, quaternion_to_matrix
from vendor_model.pipeline import PhotoScene, Pipeline, place
from vendor_model.types import Photo, Pose


@dataclass(frozen=True)
class Subject:
    """An object of a photo. mask: (H, W) bool, its visible pixels; visible: their share of all its pixels
    within the photo.

    vertices: (V, 3), faces: (F, 3), and placement: (4, 4), the similarity for rows from their frame to the
    camera's. symmetric: whether a turn leaves the shape as it is. rotation: the true rotation as the model
    would say it, quaternion (w, x, y, z), where that is known.
    """

    category: str
    mask: np.ndarray
    visible: float
    symmetric: bool
    vertices: np.ndarray
    faces: np.ndarray
    placement: np.ndarray
    rotation: np.ndarray | None = None


@dataclass(frozen=True)
class KnownPhoto:
    """A photo of some kind of scene, its focal length in pixels, its point map (H, W, 3) in the camera frame,
    and its objects."""

    kind: str
    rgb: np.ndarray
    focal_px: float
    points: np.ndarray
    subjects: tuple[Subject, ...]


def evaluate(
    pipeline: Pipeline, photos: Iterable[KnownPhoto], seed: int, true_points: bool
) -> Iterator[dict]:
    """One record an object: kind (of scene), category, visible, symmetric, failed, and figures by name in
    `shape` (after ICP), `shape_without_icp`, `layout` and, where the model's configuration refines it,
    `layout_refined`.

    true_points: the model is given camera and point map. Otherwise it finds its own, which have no unit of
    length: one factor a photo, the median ratio of distances, brings them to the truth's before poses are
    compared.
    """
    for known in photos:
        try:
            scene, unit = seen(pipeline, known, true_points)
        except UserError:
            scene = None
        for subject in known.subjects:
            about = {name: getattr(subject, name) for name in ("category", "visible", "symmetric")}
            about["kind"] = known.kind
            figures = scene and _figures(pipeline, scene, subject, seed, unit)
            yield about | {"failed": not figures} | (figures or _nothing(pipeline, subject))


def seen(pipeline: Pipeline, known: KnownPhoto, true_points: bool) -> tuple[PhotoScene, float]:
    """The photo as the model sees it, with its true camera and point map or its own, and what makes its unit
    of length the truth's. Raises UserError."""
    if true_points:
        return pipeline.set_photo(Photo(known.rgb, known.focal_px), quietly, known.points), 1.0
    scene = pipeline.set_photo(Photo(known.rgb), quietly, None)
    return scene, unit_ratio(scene.point_map.points, known.points)


def unit_ratio(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Median over pixels of true distance by predicted distance; point maps (H, W, 3), NaN where unknown.
    Where no pixel is known to both, the median true distance by the median predicted one."""
    true_distance, distance = (np.linalg.norm(points, axis=-1) for points in (truth, predicted))
    ratios = true_distance / distance
    if not np.isfinite(ratios).any():
        return float(np.nanmedian(true_distance) / np.nanmedian(distance))
    return float(np.nanmedian(ratios))


def placement(pose: Pose) -> np.ndarray:
    """A pose as a similarity (4, 4) for rows, object to camera frame."""
    rotation, *rest = (
        torch.as_tensor(np.array(v)).double() for v in (pose.rotation, pose.translation, pose.scale)
    )
    return compose(quaternion_to_matrix(rotation), *rest).numpy()


def _figures(pipeline: Pipeline, scene: PhotoScene, subject: Subject, seed: int, unit: float) -> dict | None:
    """The record's figures; None when the model finds no object."""
    try:
        [made] = pipeline.reconstruct(scene, [subject.mask], seed, quietly, refine_layout=False)
    except UserError:
        return None
    if not len(made.surface.faces):
        return None
    predicted = cloud(made.surface.vertices, made.surface.faces)
    truth = cloud(subject.vertices, subject.faces)
    to_unit = np.diag([unit, unit, unit, 1.0])

    def layout(pose: Pose, mask_iou: float) -> Figures:
        figures = layout_figures(predicted, placement(pose) @ to_unit, truth, subject.placement)
        if subject.rotation is not None:
            figures["rotation_error"] = rotation_error(pose.rotation, subject.rotation)
        return figures | {"mask_iou": mask_iou}

    record = {
        "shape": shape_figures(predicted, align(predicted, truth), truth),
        "shape_without_icp": shape_figures(predicted, unit_box(predicted.vertices), truth),
        "layout": layout(made.pose, made.mask_iou),
    }
    if pipeline.config.layout_refinement:
        refined = place(made.surface, made.pose, subject.mask, scene.point_map, refine=True)
        record["layout_refined"] = layout(*refined)
    return record


def _nothing(pipeline: Pipeline, subject: Subject) -> dict:
    layout = NO_LAYOUT | {"mask_iou": 0.0}
    if subject.rotation is not None:
        layout["rotation_error"] = 90.0
    record = {"shape": NO_SHAPE, "shape_without_icp": NO_SHAPE, "layout": layout}
    return record | ({"layout_refined": layout} if pipeline.config.layout_refinement else {})


def quietly(stage: str, fraction: float) -> None:
    """Progress that nobody watches."""
