"""Scenes as the depth model sees them, so that the geometry model learns to live with its errors.

At run time a photo mostly has no other point map than the depth model's. Objects are then wanted at the
pixels that show them, in the camera that was estimated, and at their true depth in its unit of length.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from torch import nn

from vendor_model import checkpoints
from vendor_model.config import read_pipeline
from vendor_model.depth import estimate_point_map
from vendor_model.errors import PhotoError
from vendor_model.layout.frames import pixels_from_camera, rays_through_pixels
from vendor_model.training.recipe import Run
from vendor_model.training.samples import SampleSizes, object_samples
from vendor_model.training.scenes import Scene
from vendor_model.training.shards import Stored, write_shards
from vendor_model.training.trainer import load_average
from vendor_model.types import Photo, PointMap, Pose

FARTHEST = 2.0
"""Objects that belong farther than this from where the map has their pixels, in units of the map's spread,
are left out: no photo tells how far behind an object its wall is, and a few such would outweigh the rest."""


def estimated(run: Run) -> None:
    """New scenes with the point maps that the depth model of the stage `depth` makes of their photos."""
    recipe = run.recipe
    run.say_unfinished("depth")
    write_shards(
        run.runs / "estimated",
        recipe.train_seed + 3000,
        recipe.estimated_shards,
        recipe.scenes_per_shard,
        recipe.categories,
        SampleSizes(),
        run.workers,
        StoredAsEstimated(run.model, run.runs / "depth"),
    )


@dataclass(frozen=True)
class StoredAsEstimated:
    """What is stored of a scene as a depth model sees it: its objects, without their voxels.

    model: the folder with the yaml files; stage: where the depth model's average lies.
    """

    model: Path
    stage: Path

    def __call__(self, scene: Scene, sizes: SampleSizes) -> Stored:
        model = depth_model(self.model, self.stage)
        seen = as_estimated(scene, lambda photo: estimate_point_map(model, photo))
        samples = () if seen is None else object_samples(seen, sizes, voxels=False)
        return [sample for sample in samples if np.abs(sample["translation"]).max() <= FARTHEST], {}


@cache
def depth_model(model: Path, stage: Path) -> nn.Module:
    """The depth model as its stage left it. Raises CheckpointError."""
    module = checkpoints.build_one(model, read_pipeline(model), "depth_model")
    return load_average(nn.ModuleDict({"depth_model": module}), stage)["depth_model"]


def as_estimated(scene: Scene, estimate: Callable[[Photo], PointMap]) -> Scene | None:
    """The scene with an estimated point map and camera, its objects moved to where they belong there; None
    where the depth model finds nothing.

    One factor a photo brings true lengths to the map's unit, as the evaluation does it the other way.
    """
    try:
        found = estimate(Photo(scene.photo))
    except PhotoError:
        return None
    ratios = found.points[..., 2] / scene.point_map[..., 2]
    if not np.isfinite(ratios).any():
        return None
    factor = float(np.nanmedian(ratios))
    objects = tuple(
        (shape, moved(pose, scene.intrinsics, found.intrinsics, factor)) for shape, pose in scene.objects
    )
    return replace(scene, point_map=found.points, intrinsics=found.intrinsics, objects=objects)


def moved(pose: Pose, intrinsics: np.ndarray, other: np.ndarray, factor: float) -> Pose:
    """The pose at which another camera shows the object at the same pixels, about as large, at `factor` times
    its depth."""
    pixel = pixels_from_camera(pose.translation[None], intrinsics)
    depth = factor * pose.translation[2]
    zoom = np.diagonal(intrinsics)[:2].mean() / np.diagonal(other)[:2].mean()
    translation = rays_through_pixels(pixel, other)[0] * depth
    return Pose(pose.rotation, translation, pose.scale * factor * zoom)
