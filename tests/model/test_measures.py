"""The paper's measures: against hand-made cases, closed forms and other libraries."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import wasserstein_distance_nd

pytest.importorskip("trimesh")

import trimesh

from vendor_model.evaluation import metrics
from vendor_model.evaluation.clouds import SAMPLES, cloud, distances, filled, moved, surface_voxels
from vendor_model.evaluation.comparison import layout_figures, shape_figures
from vendor_model.evaluation.registration import align, remaining_rotation, right_turns, unit_box


def from_trimesh(mesh):
    return cloud(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def similarity(degrees=0.0, axis=(0, 0, 1), scale=1.0, shift=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix().T
    matrix[3, :3] = shift
    return matrix


def bracket():
    """A solid without symmetry: an L with a pin."""
    parts = [
        ((1.0, 0.4, 0.2), (0, 0, 0)),
        ((0.2, 0.4, 0.7), (0.4, 0, 0.45)),
        ((0.1, 0.3, 0.1), (-0.3, 0.3, 0)),
    ]
    boxes = [trimesh.creation.box(size).apply_translation(place) for size, place in parts]
    return trimesh.util.concatenate(boxes)


@pytest.fixture(scope="module")
def bracket_cloud():
    return from_trimesh(bracket())


def test_f1_of_hand_made_distances():
    accuracy, completeness = np.array([0.005, 0.02]), np.array([0.005, 0.001, 0.009, 0.02])
    assert metrics.f1_score(accuracy, completeness, 0.01) == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert metrics.f1_score(np.ones(2), np.ones(3), 0.01) == 0


def test_distances_between_concentric_spheres_are_the_difference_of_their_radii():
    inner, outer = (from_trimesh(trimesh.creation.icosphere(5, radius)) for radius in (0.9, 1.0))
    accuracy, completeness = distances(inner, np.eye(4), outer, np.eye(4))
    assert metrics.chamfer_distance(accuracy, completeness) == pytest.approx(0.1, abs=1e-3)
    assert metrics.f1_score(accuracy, completeness, 0.101) > 0.99
    assert metrics.f1_score(accuracy, completeness, 0.099) < 0.01
    assert metrics.add_s(accuracy, completeness, metrics.diameter(outer.vertices)) == pytest.approx(
        0.05, abs=1e-3
    )


def test_distances_are_in_the_unit_of_the_frame_and_do_not_depend_on_where_it_stands(bracket_cloud):
    other = from_trimesh(trimesh.creation.box((1, 1, 1)))
    plain = distances(bracket_cloud, np.eye(4), other, np.eye(4))
    frame = similarity(40, (0.6, 0, 0.8), 3.0, (1, 2, 3))
    for near, far in zip(plain, distances(bracket_cloud, frame, other, frame), strict=True):
        np.testing.assert_allclose(far, 3 * near, atol=1e-9)


def test_earth_movers_distance_is_that_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random((24, 3)), rng.random((24, 3)) + 0.3
    assert metrics.earth_movers_distance(first, second) == pytest.approx(
        wasserstein_distance_nd(first, second)
    )
    assert metrics.earth_movers_distance(first, np.add(first[::-1], [0, 0, 2])) == pytest.approx(2)


def test_boxes_that_share_a_half_or_a_part_as_trimesh_has_it():
    box = np.array([[0.0, 0, 0], [2, 1, 1]])
    assert metrics.box_iou(box, np.add(box, [1, 0, 0])) == pytest.approx(1 / 3)
    assert metrics.box_iou(box, np.add(box, [5, 0, 0])) == 0
    assert metrics.box_iou(box * [1, 1, 0], box * [1, 1, 0]) == 0  # flat
    first, second = (
        trimesh.creation.box((1, 2, 3)),
        trimesh.creation.box(bounds=[[-0.2, 0.1, -1], [0.9, 2, 1]]),
    )
    corners = np.stack([np.maximum(*(b.bounds[0] for b in (first, second))),
                        np.minimum(*(b.bounds[1] for b in (first, second)))])  # fmt: skip
    shared = trimesh.creation.box(bounds=corners).volume
    union = first.volume + second.volume - shared
    assert metrics.box_iou(first.vertices, second.vertices) == pytest.approx(shared / union)


def test_diameter_and_angles_against_closed_forms_and_scipy():
    assert metrics.diameter(trimesh.creation.box((3, 4, 12)).vertices) == pytest.approx(13)
    assert metrics.diameter(trimesh.creation.box((3, 4, 0)).vertices) == pytest.approx(5)  # a flat thing
    turn = Rotation.random(random_state=1)
    assert metrics.rotation_angle(turn.as_matrix()) == pytest.approx(np.degrees(turn.magnitude()))
    first, second = Rotation.random(2, random_state=2)
    error = metrics.rotation_error(*(r.as_quat(scalar_first=True) for r in (first, second)))
    assert error == pytest.approx(np.degrees((first.inv() * second).magnitude()))


def test_points_are_spread_by_area(bracket_cloud):
    sampled, _ = trimesh.sample.sample_surface(bracket(), SAMPLES, seed=1)
    np.testing.assert_allclose(bracket_cloud.points.mean(0), sampled.mean(0), atol=5e-3)
    np.testing.assert_allclose(np.cov(bracket_cloud.points.T), np.cov(sampled.T), atol=5e-3)
    beginning = bracket_cloud.points[:4096]
    np.testing.assert_allclose(beginning.mean(0), sampled.mean(0), atol=3e-2)


def test_voxels_of_a_cube_and_of_what_it_encloses():
    cube = from_trimesh(trimesh.creation.box((1.98, 1.98, 1.98)))
    walls = surface_voxels(cube.points)
    assert walls.sum() == 64**3 - 62**3
    assert filled(walls).sum() == 64**3
    assert metrics.voxel_iou(walls, filled(walls)) == pytest.approx(1 - (62 / 64) ** 3)


def test_flat_walls_at_the_end_of_the_box_do_not_depend_on_rounding():
    cube = from_trimesh(trimesh.creation.box((2, 2, 2)))
    walls = surface_voxels(cube.points)
    assert walls.sum() == pytest.approx(64**3 - 62**3, abs=2)  # a corner's cell may hold no point
    assert filled(walls).sum() == pytest.approx(64**3, abs=2)
    for shift in (1e-12, -1e-12):
        assert (surface_voxels(cube.points + shift) == walls).all()
    itself = shape_figures(cube, align(cube, cube), cube)
    assert itself["surface_iou"] > 0.999 and itself["voxel_iou"] > 0.999


def test_voxels_of_a_surface_are_those_of_trimesh():
    ball = trimesh.creation.icosphere(5, 0.83).apply_translation([0.05, -0.02, 0.1])
    walls = surface_voxels(from_trimesh(ball).points)
    cells = ball.apply_translation([-1 / 64] * 3).voxelized(
        1 / 32
    )  # whose cells lie around multiples of 1/32
    found = np.zeros_like(walls)
    found[tuple((np.rint(cells.points * 32).astype(int) + 64).T)] = True
    assert metrics.voxel_iou(walls, found) > 0.9  # cells that a surface hardly touches are missed by either


def test_a_pinhole_does_not_empty_a_solid_but_a_cup_is_empty():
    cube = from_trimesh(trimesh.creation.box((1.98, 1.98, 1.98)))
    points = cube.points
    pierced = points[~((points[:, 2] > 0.98) & (np.abs(points[:, :2]) < 0.015).all(1))]
    assert filled(surface_voxels(pierced)).sum() > 64**3 - 10
    cup = points[points[:, 2] < 0.9]
    assert filled(surface_voxels(cup)).sum() < 0.2 * 64**3


def test_a_turned_moved_and_resized_shape_is_the_same_shape(bracket_cloud):
    turn = next(turn for turn in right_turns() if np.trace(turn[:3, :3]) == 0)
    changed = moved(np.asarray(bracket().vertices), turn @ similarity(4, (1, 0, 0), 0.3, (5, 0, 1)))
    predicted = cloud(changed, bracket().faces)
    aligned = shape_figures(predicted, align(predicted, bracket_cloud), bracket_cloud)
    plain = shape_figures(predicted, unit_box(predicted.vertices), bracket_cloud)
    assert aligned["f1_005"] > 0.95 and aligned["voxel_iou"] > 0.75
    assert plain["f1_005"] < 0.6 and plain["voxel_iou"] < 0.5
    itself = shape_figures(bracket_cloud, align(bracket_cloud, bracket_cloud), bracket_cloud)
    assert itself["f1_001"] > 0.999 and itself["voxel_iou"] == 1 and itself["surface_iou"] == 1


def test_there_are_24_different_turns_without_mirroring():
    turns = np.stack([turn[:3, :3] for turn in right_turns()])
    assert len(np.unique(turns, axis=0)) == 24
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    np.testing.assert_array_equal(turns[0], np.eye(3))


def test_the_rotation_that_icp_leaves_is_the_one_that_was_made_and_the_one_that_trimesh_finds(bracket_cloud):
    frame, turned = similarity(70, (0, 1, 0), 2.0, (0, 0, 9)), similarity(15, (0.6, 0.8, 0))
    left = remaining_rotation(bracket_cloud, turned @ frame, bracket_cloud, frame)
    assert metrics.rotation_angle(left) == pytest.approx(15, abs=1.0)
    source = moved(bracket_cloud.points[:2000], turned)
    found, _, _ = trimesh.registration.icp(source, bracket_cloud.points[:4000], reflection=False, scale=False)
    assert metrics.rotation_angle(left) == pytest.approx(metrics.rotation_angle(found[:3, :3]), abs=1.0)


def test_layout_of_a_cube_that_stands_half_its_side_aside():
    cube = from_trimesh(trimesh.creation.box((1, 1, 1)))
    figures = layout_figures(
        cube, similarity(scale=2, shift=(1, 0, 4)), cube, similarity(scale=2, shift=(0, 0, 4))
    )
    assert figures["box_iou"] == pytest.approx(1 / 3)
    assert figures["icp_rotation"] < 2
    apart = cdist(np.add(cube.points[:3000], [0.5, 0, 0]), cube.points[3000:9000])
    mean = (apart.min(0).mean() + apart.min(1).mean()) / 2
    assert figures["add_s"] == pytest.approx(mean / 3**0.5, rel=0.05)
    assert figures["add_s_01"] == 0
    nearer = layout_figures(cube, similarity(shift=(0.1, 0, 4)), cube, similarity(shift=(0, 0, 4)))
    assert nearer["add_s"] < 0.1 and nearer["add_s_01"] == 1
