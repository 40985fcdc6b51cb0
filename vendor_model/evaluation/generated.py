"""A model on photos that the generator made of objects it never trained on, its own depth included."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vendor_model.errors import UserError
from vendor_model.evaluation.metrics import rotation_error, voxel_iou
from vendor_model.pipeline import Pipeline
from vendor_model.training.canonical import canonical_pose
from vendor_model.training.objects import distance_grid
from vendor_model.training.samples import MINIMUM_PIXELS
from vendor_model.training.scenes import make_scene
from vendor_model.training.structured_latent import occupied_voxels
from vendor_model.types import Photo

FAILED = {"voxel_iou": 0.0, "rotation_error": 90.0, "translation_error": 1.0, "mask_iou": 0.0}
"""What an object counts for that the model refuses to reconstruct."""


def evaluate(
    model: Path,
    samples: int,
    seed: int,
    categories: Sequence[str],
    true_points: bool,
    size: tuple[int, int] = (224, 224),
) -> Iterator[dict]:
    """One record a visible object: category, visible fraction and the figures of `FAILED`.

    true_points: give the model the scene's point map in place of its own depth.

    voxel_iou: of all occupied voxels in the object frame, as predicted, without any alignment;
    rotation_error: degrees, symmetric poses counting as one; translation_error: in object sizes, after the
    depth model's free scale is taken off along the view ray; mask_iou: silhouette after refinement.
    """
    pipeline, made, number = Pipeline.load(model), 0, 0
    while made < samples:
        scene = make_scene(np.random.default_rng((seed, number)), size, categories=categories)
        number += 1
        focal = float(scene.intrinsics[0, 0]) if true_points else None
        photo, points = Photo(scene.photo, focal), scene.point_map if true_points else None
        photo_scene = pipeline.set_photo(photo, lambda stage, fraction: None, points)
        for index, (shape, pose) in enumerate(scene.objects):
            mask = scene.masks[index]
            if mask.sum() < MINIMUM_PIXELS or made == samples:
                continue
            made += 1
            record = {"category": shape.category, "visible": float(scene.visible_fraction[index])}
            try:
                record |= _figures(pipeline, photo_scene, mask, shape, pose, seed)
            except UserError:
                record |= FAILED
            yield record


def _figures(pipeline: Pipeline, scene, mask: np.ndarray, shape, pose, seed: int) -> dict[str, float]:
    tokens, inputs = pipeline.geometry_condition(scene, mask)
    found = pipeline.sample_shape(tokens, inputs, seed, lambda fraction: None)
    side = pipeline.modules["slat_flow"].resolution
    distances = distance_grid(shape, side)
    solid = np.zeros((side,) * 3, bool)
    solid[tuple(found.solid[:, 1:].T.cpu().numpy())] = True
    truth = canonical_pose(shape, pose, distances)
    # Depth has no scale of its own: compare directions, and sizes at the truth's distance.
    nearness = np.linalg.norm(pose.translation) / np.linalg.norm(found.pose.translation)
    offset = np.linalg.norm(found.pose.translation * nearness - pose.translation) / pose.scale.mean()
    [made] = pipeline.reconstruct(scene, [mask], seed, lambda stage, fraction: None)
    return {
        "voxel_iou": voxel_iou(solid, occupied_voxels(distances)),
        "rotation_error": rotation_error(found.pose.rotation, truth.rotation),
        "translation_error": float(offset),
        "mask_iou": made.mask_iou,
    }


def summary(records: Sequence[dict]) -> dict:
    """Means (median for the rotation) over all records, and the voxel IoU by category."""
    by_category = defaultdict(list)
    for record in records:
        by_category[record["category"]].append(record["voxel_iou"])
    mean = {name: float(np.mean([record[name] for record in records])) for name in FAILED}
    return {
        "samples": len(records),
        **mean,
        "rotation_error": float(np.median([record["rotation_error"] for record in records])),
        "categories": {name: float(np.mean(ious)) for name, ious in sorted(by_category.items())},
    }
