"""Voxels follow the point map one by one: a ball before a wall, then the embedded model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ellipsoids import CENTRE, RADIUS, SIZE, UPRIGHT, ball

from vendor_model.evaluation.generated import known_photos
from vendor_model.evaluation.subjects import seen
from vendor_model.layout.seen_voxels import ROUGHEST, correct_seen_voxels, roughness
from vendor_model.layout.sight_lines import seen_empty
from vendor_model.pipeline import Pipeline
from vendor_model.training.recipe import MINI
from vendor_model.types import PointMap, Pose

MINI_RESOLUTION = 32
RESOLUTION, LENGTH = 16, 2.0
POSE = Pose(UPRIGHT, CENTRE, np.full(3, LENGTH))
AXIS = (np.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5
PLACES = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), axis=-1)
TRUE = torch.from_numpy(np.linalg.norm(PLACES, axis=-1) < RADIUS / LENGTH + 0.5 / RESOLUTION)
"""As the voxel decoder learns it: what is within half a voxel of the solid."""


def as_logits(solid: torch.Tensor) -> torch.Tensor:
    return torch.where(solid, 5.0, -5.0)[None, None]


def corrected(solid: torch.Tensor, scene: tuple | None = None) -> torch.Tensor:
    point_map, mask = scene or ball()
    return correct_seen_voxels(as_logits(solid), POSE, point_map, mask)[0, 0] > 0


@pytest.fixture
def middle() -> tuple[slice, slice]:
    return slice(7, 9), slice(7, 9)


def test_a_lump_before_the_surface_goes_and_a_dent_is_filled(middle):
    lump, dent = TRUE.clone(), TRUE.clone()
    lump[(*middle, slice(0, 1))] = True
    dent[(*middle, slice(0, 5))] = False
    assert not corrected(lump)[(*middle, 0)].any()
    front = np.flatnonzero(TRUE[7, 7].numpy())[0]
    assert not dent[7, 7, front] and corrected(dent)[(*middle, front)].all()


def test_what_lies_beside_the_outline_goes_and_what_is_hidden_stays(middle):
    solid = TRUE.clone()
    solid[0, 0] = solid[15, 15] = True
    solid[(*middle, slice(15, 16))] = True
    found = corrected(solid)
    assert not found[0, 0].any() and not found[15, 15].any()
    assert found[(*middle, 15)].all()


def test_a_rough_point_map_says_nothing_about_voxels(middle):
    point_map, mask = ball()
    noise = np.random.default_rng(0).standard_normal((SIZE, SIZE, 1))
    solid = TRUE.clone()
    solid[(*middle, slice(0, 1))] = True

    def rough(by: float) -> PointMap:
        return replace(point_map, points=point_map.points + by * noise * [0, 0, 1])

    for sigma in (0.005, 0.05):
        assert roughness(rough(sigma), mask) == pytest.approx(sigma, rel=0.15)
    assert roughness(point_map, mask) < 0.002
    voxel = LENGTH / RESOLUTION
    few, many = 0.1 * ROUGHEST * voxel, 2 * ROUGHEST * voxel
    assert torch.equal(corrected(solid, (rough(many), mask)), solid)
    assert not corrected(solid, (rough(few), mask))[(*middle, 0)].any()


def test_nothing_seen_and_nothing_left_change_nothing():
    point_map, mask = ball()
    blind = replace(point_map, points=np.full_like(point_map.points, np.nan))
    assert torch.equal(corrected(TRUE, (blind, mask)), TRUE)
    before = Pose(UPRIGHT, CENTRE - [0, 0, 1.5], np.ones(3))  # where the camera sees through all of it
    logits = as_logits(TRUE)
    assert correct_seen_voxels(logits, before, point_map, mask) is logits


def test_the_embedded_model_leaves_few_voxels_where_the_camera_sees_through():
    model = Pipeline.load(Path(__file__).parents[2] / "vendor_model" / "mini", "cpu")
    photo = next(known_photos(1, 3, MINI.categories))
    scene, _ = seen(model, photo, True)
    given = scene.point_map, photo.subjects[0].mask
    tokens, inputs = model.geometry_condition(scene, given[1])
    with torch.no_grad():
        shape = model.sample_shape(tokens, inputs, 0, lambda done: None, model.config, given)
    centres = (shape.coords[:, 1:].double().numpy() + 0.5) / MINI_RESOLUTION - 0.5
    # 0.03 of the shell, of voxels that also hold a point of the object; 0.06 as the fit leaves it
    assert seen_empty(centres, shape.pose, scene.point_map, 1 / MINI_RESOLUTION).mean() < 0.04
