"""The generator of training scenes: what it says of a scene is what the photo shows."""

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("torch")

import torch
from scipy import ndimage

from vendor_model.layout.transforms import quaternion_to_matrix
from vendor_model.training.bounds import bounding_box
from vendor_model.training.objects import CATEGORIES, distance_grid, make_object
from vendor_model.training.scenes import KINDS, make_scene

SIZE = (96, 128)


@pytest.fixture(scope="module")
def scenes():
    return [
        make_scene(np.random.default_rng((7, number)), SIZE, kind) for kind in KINDS for number in range(6)
    ]


def posed(shape, pose, points):
    """Camera-frame points by the convention of types.Pose."""
    rotation = quaternion_to_matrix(torch.from_numpy(pose.rotation)).numpy()
    return pose.scale * (points @ rotation) + pose.translation


def unposed(shape, pose, points):
    rotation = quaternion_to_matrix(torch.from_numpy(pose.rotation)).numpy()
    return ((points - pose.translation) / pose.scale) @ rotation.T


def pixels(intrinsics, points):
    """Columns and rows of camera-frame points (x left, y up)."""
    u = intrinsics[0, 2] - intrinsics[0, 0] * points[:, 0] / points[:, 2]
    v = intrinsics[1, 2] - intrinsics[1, 1] * points[:, 1] / points[:, 2]
    return u, v


def test_there_are_enough_categories():
    assert len(CATEGORIES) >= 24


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_makes_a_connected_solid_in_the_unit_cube(category):
    for seed in range(4):
        shape = make_object(np.random.default_rng((seed, 1)), category)
        low, high = bounding_box(shape.table.astype(np.float64))
        assert np.abs(low + high).max() < 0.01
        assert (high - low).max() == pytest.approx(0.94, abs=0.01)
        np.testing.assert_allclose((high - low) / 2, shape.half_size, atol=0.01)
        solid = distance_grid(shape, 64) < 0
        cells = np.argwhere(solid)
        np.testing.assert_allclose(
            np.ptp(cells, axis=0) + 1, 128 * shape.half_size, atol=4.1
        )  # eaves are sharp
        coarse = distance_grid(shape, 32) < 0
        assert coarse.sum() >= 150, (category, seed)
        assert not any(np.take(solid, [0, -1], axis=axis).any() for axis in range(3))
        parts, count = ndimage.label(solid, np.ones((3, 3, 3)))
        largest = np.bincount(parts.ravel())[1:].max()
        assert largest >= 0.97 * solid.sum(), (category, seed, count)


def test_the_same_seed_gives_the_same_scene():
    first, second = (make_scene(np.random.default_rng(3), SIZE) for _ in range(2))
    np.testing.assert_array_equal(first.photo, second.photo)
    np.testing.assert_array_equal(first.point_map, second.point_map)
    assert first.photo.std() > 0
    other = make_scene(np.random.default_rng(4), SIZE)
    assert (first.photo != other.photo).any()


def test_the_grid_samples_the_distance_at_cell_centres():
    shape = make_object(np.random.default_rng(0), "teapot")
    centres = (np.stack(np.meshgrid(*[np.arange(12)] * 3, indexing="ij"), axis=-1) + 0.5) / 12 - 0.5
    direct = shape.distance(centres.reshape(-1, 3)).reshape(12, 12, 12)
    np.testing.assert_allclose(distance_grid(shape, 12), direct, atol=1e-6)


def test_a_ball_is_a_ball():
    shape = make_object(np.random.default_rng(0), "ball")
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (100, 3))
    np.testing.assert_allclose(shape.distance(points), np.linalg.norm(points, axis=1) - 0.47, atol=5e-4)
    assert shape.symmetry == "full"
    assert make_object(np.random.default_rng(0), "chair").symmetry == "none"
    assert make_object(np.random.default_rng(0), "pawn").symmetry == "axis"


def test_albedo_is_a_colour():
    shape = make_object(np.random.default_rng(5), "car")
    colors = shape.albedo(np.random.default_rng(1).uniform(-0.5, 0.5, (500, 3)))
    assert colors.dtype == np.float32 and colors.min() >= 0 and colors.max() <= 1
    assert len(np.unique(colors.round(3), axis=0)) >= 3


def test_the_point_map_lies_on_the_posed_objects(scenes):
    for scene in scenes:
        for (shape, pose), mask in zip(scene.objects, scene.masks, strict=True):
            local = unposed(shape, pose, scene.point_map[mask].astype(np.float64))
            distances = np.abs(shape.distance(local))
            assert np.median(distances) < 0.003 and distances.max() < 0.025
            assert (np.abs(local) <= shape.half_size + 0.015).all()


def test_points_of_the_point_map_project_to_their_own_pixels(scenes):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for scene in scenes:
        near = np.isfinite(scene.point_map).all(axis=2)
        u, v = pixels(scene.intrinsics, scene.point_map[near])
        np.testing.assert_allclose(u, columns[near] + 0.5, atol=1e-2)
        np.testing.assert_allclose(v, rows[near] + 0.5, atol=1e-2)
        assert (scene.point_map[near][:, 2] > 0).all()


def test_surface_points_of_an_unhidden_object_land_on_its_mask():
    scene = make_scene(np.random.default_rng(12), (160, 160), "isolated", ["duck"])
    shape, pose = scene.objects[0]
    grid = distance_grid(shape, 64)
    inside = (np.argwhere(grid < -0.005) + 0.5) / 64 - 0.5
    u, v = pixels(scene.intrinsics, posed(shape, pose, inside))
    seen = (u >= 0) & (u < 160) & (v >= 0) & (v < 160)
    assert seen.mean() > 0.5
    assert scene.masks[0][v[seen].astype(int), u[seen].astype(int)].mean() > 0.99


def test_masks_are_disjoint_and_fractions_are_fractions(scenes):
    for scene in scenes:
        assert scene.masks.sum(axis=0).max() <= 1
        assert len(scene.objects) == len(scene.masks) == len(scene.full_pixels) >= 1
        assert (scene.visible_fraction > 0).all() and (scene.visible_fraction <= 1).all()


def test_pasted_objects_hide_10_to_90_percent():
    for number in range(8):
        scene = make_scene(np.random.default_rng((9, number)), SIZE, "pasted")
        assert 0.1 < scene.visible_fraction[0] < 0.9


def test_objects_on_the_ground_do_not_run_into_each_other():
    for number in range(8):
        scene = make_scene(np.random.default_rng((11, number)), SIZE, "ground")
        for index, (shape, pose) in enumerate(scene.objects):
            inside = (np.argwhere(distance_grid(shape, 24) < -0.01) + 0.5) / 24 - 0.5
            for other, (neighbour, at) in enumerate(scene.objects):
                if other != index:
                    distances = neighbour.distance(unposed(neighbour, at, posed(shape, pose, inside)))
                    assert distances.min() > -0.01


def test_nothing_stands_between_the_camera_and_a_visible_point(scenes):
    for scene in scenes:
        for index, mask in enumerate(scene.masks):
            points = scene.point_map[mask].astype(np.float64)
            for other, (shape, pose) in enumerate(scene.objects):
                if other != index:
                    for share in np.linspace(0.3, 1, 24):
                        assert shape.distance(unposed(shape, pose, share * points)).min() > -0.02
