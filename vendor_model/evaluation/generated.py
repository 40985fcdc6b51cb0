"""New photos of the training's generator, of objects that no training ever saw."""

from collections.abc import Iterator, Sequence

import numpy as np

from vendor_model.evaluation.subjects import KnownPhoto, Subject, placement
from vendor_model.training.canonical import canonical_pose, turns
from vendor_model.training.meshes import object_surface
from vendor_model.training.objects import distance_grid
from vendor_model.training.samples import MINIMUM_PIXELS
from vendor_model.training.scenes import Scene, make_scene

HELD_OUT = 0x7E57
"""Begins every seed here and none in the training, so that no object's parameters are drawn by both."""

OCCLUDED = 0.75
"""An object counts as occluded when less than this share of it is visible: of its pixels within the photo."""

LEAST_OCCLUDED = 0.25
"""Share of the objects that are occluded at least."""


def known_photos(
    samples: int,
    seed: int,
    categories: Sequence[str],
    occluded: bool = False,
    size: tuple[int, int] = (224, 224),
) -> Iterator[KnownPhoto]:
    """Photos of (height, width) with as many objects in all as `samples` says; occluded: only those.

    Where all others have been found, the rest of the occluded ones is looked for alone.
    """
    others = 0 if occluded else samples - int(samples * LEAST_OCCLUDED)
    wanted, number = samples, 0
    while wanted:
        scene = make_scene(np.random.default_rng((HELD_OUT, seed, number)), size, categories=categories)
        number += 1
        chosen = []
        for index in np.flatnonzero(scene.masks.sum((1, 2)) >= MINIMUM_PIXELS):
            is_occluded = scene.unoccluded_fraction[index] < OCCLUDED
            if len(chosen) < wanted and (is_occluded or others):
                chosen.append(index)
                others -= not is_occluded
        wanted -= len(chosen)
        if chosen:
            subjects = tuple(_subject(scene, index) for index in chosen)
            focal = float(scene.intrinsics[0, 0])
            yield KnownPhoto(scene.kind, scene.photo, focal, scene.point_map, subjects)


def _subject(scene: Scene, index: int) -> Subject:
    shape, pose = scene.objects[index]
    distances, surface = distance_grid(shape, 32), object_surface(shape)
    return Subject(
        shape.category,
        scene.masks[index],
        float(scene.unoccluded_fraction[index]),
        turns(shape, distances) != 1,
        surface.vertices,
        surface.faces,
        placement(pose),
        canonical_pose(shape, pose, distances).rotation,
    )
