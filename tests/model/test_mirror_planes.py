"""Planes of symmetry that what is seen allows, and the pose that goes with them: closed-form ellipsoids."""

import numpy as np
import pytest
import torch
from ellipsoids import CENTRE, FOCAL, RADIUS, SIZE, UPRIGHT, ball

from vendor_model.layout import mirror_planes
from vendor_model.layout.geometry_fit import FitSettings, disagreement
from vendor_model.layout.mirror_planes import EmptySpace, Symmetry, find_symmetry, mirrored_reach
from vendor_model.layout.moved_pose import MovedPose
from vendor_model.layout.sight_lines import sight_lines
from vendor_model.types import PointMap, Pose

RESOLUTION = 24
ACROSS_X, ACROSS_Y = [-1, 1, 1], [1, -1, 1]


def solid_ball() -> torch.Tensor:
    axis = (torch.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    return 20 * (1 - places.norm(dim=-1) / 0.4)[None, None]


def found(logits: torch.Tensor, pose: Pose, point_map: PointMap, mask: np.ndarray) -> Symmetry:
    lines, rng = sight_lines(point_map, mask, 300), torch.Generator().manual_seed(0)
    points = lines.seen_points

    def error(posed: MovedPose) -> torch.Tensor:
        return disagreement(logits, posed, lines, [torch.ones(3)], FitSettings(), rng)

    return find_symmetry(logits, pose, points, EmptySpace(point_map, mask), error, lambda step: None)


def planes(symmetry: Symmetry) -> list[list[float]]:
    return [plane.tolist() for plane in symmetry.planes]


def shifted(*shift: float) -> Pose:
    return Pose(UPRIGHT, CENTRE + np.array(shift), np.full(3, 2.0))


@pytest.mark.parametrize("shift", [(0, 0, 0), (0.25, 0, 0), (-0.1, 0.15, 0.2)])
def test_a_pose_beside_the_plane_is_brought_to_it(shift):
    point_map, mask = ball()
    symmetry = found(solid_ball(), shifted(*shift), point_map, mask)
    assert planes(symmetry) == [ACROSS_X, ACROSS_Y]
    np.testing.assert_allclose(symmetry.pose.translation, CENTRE, atol=0.08)


def test_only_planes_that_the_prediction_has_are_tried():
    point_map, mask = ball()
    logits = solid_ball()
    logits[..., : RESOLUTION // 2, :] = -1  # one half of it is missing along y
    assert planes(found(logits, shifted(0, 0, 0), point_map, mask)) == [ACROSS_X]
    logits[..., : RESOLUTION // 2, :, :] = -1
    pose = shifted(0.1, 0, 0)
    symmetry = found(logits, pose, point_map, mask)
    assert not symmetry.planes and symmetry.pose is pose


def test_a_side_that_is_seen_to_be_missing_refutes_the_plane():
    """The camera sees the wall where the other half of the ball would be."""
    point_map, mask = ball()
    points = point_map.points.copy()
    columns = np.arange(SIZE) < SIZE / 2 - FOCAL * CENTRE[0] / CENTRE[2]
    points[:, columns] *= 6 / points[:, columns, 2:]
    half = mask & ~columns
    assert planes(found(solid_ball(), shifted(0, 0, 0), PointMap(points, point_map.intrinsics), half)) == [
        ACROSS_Y
    ]


def test_a_side_that_is_hidden_does_not():
    point_map, mask = ball(hidden_columns=SIZE // 2)
    assert planes(found(solid_ball(), shifted(0.05, 0, 0), point_map, mask)) == [ACROSS_X, ACROSS_Y]


def test_a_pose_that_agrees_far_less_is_not_taken_for_its_planes():
    point_map, mask = ball()
    lines = sight_lines(point_map, mask, 300)
    points = lines.seen_points
    pose, empty = shifted(0.25, 0, 0), EmptySpace(point_map, mask)

    def found_if(factor: float) -> Symmetry:
        def error(posed: MovedPose) -> torch.Tensor:  # no slope leads back
            return torch.where(posed.shift.detach().norm(dim=1) > 0.05, factor, 1.0)

        return find_symmetry(solid_ball(), pose, points, empty, error, lambda step: None)

    assert planes(found_if(1.05)) == [ACROSS_X, ACROSS_Y]
    assert not found_if(1.5).planes and found_if(1.5).pose is pose


def test_how_far_places_reach_into_empty_space():
    point_map, mask = ball()
    empty = EmptySpace(point_map, mask)
    front = CENTRE * (1 - RADIUS / np.linalg.norm(CENTRE))  # where the line to the centre meets the ball
    beside = CENTRE + np.array([1.1, 0, 0])
    places = torch.tensor(np.stack([0.8 * front, front, 1.1 * front, CENTRE, beside])).float()
    places.requires_grad_()
    reach = empty.reach(places)
    gaps = [0.2 * front[2], 0, 0, 0, 1.1 - RADIUS]
    np.testing.assert_allclose(reach.detach(), gaps, atol=0.08)
    (slope,) = torch.autograd.grad(reach.sum(), places)
    assert slope[0, 2] < -0.5 and slope[4, 0] > 0.5  # back, and towards the ball


def test_fewer_cells_tell_the_same_of_a_large_photo(monkeypatch):
    point_map, mask = ball()
    places = torch.tensor(CENTRE + np.random.default_rng(0).uniform(-1.3, 1.3, (500, 3))).float()
    fine = EmptySpace(point_map, mask).reach(places)
    monkeypatch.setattr(mirror_planes, "FINEST", 25)  # two pixels a cell
    less = fine - EmptySpace(point_map, mask).reach(places)
    pixel = CENTRE[2] / FOCAL
    assert less.min() > -0.5 * pixel and 0 < less.mean() < pixel  # cautious, by less than a pixel on average


def test_what_stands_before_an_object_leaves_room_behind_it():
    point_map, mask = ball(hidden_columns=SIZE // 2)
    left = torch.tensor(CENTRE + np.array([0.75, 0, 0])).float()[None]  # the camera's x points to the left
    assert EmptySpace(point_map, mask).reach(left).item() == 0
    assert EmptySpace(*ball()).reach(left + torch.tensor([0.5, 0, 0])).item() > 0.3


def test_where_the_mask_shows_an_object_of_unknown_depth_nothing_is_empty():
    point_map, mask = ball()
    points = point_map.points.copy()
    points[40:56, 30:50] = np.nan
    empty = EmptySpace(PointMap(points, point_map.intrinsics), mask)
    assert empty.reach(torch.tensor(CENTRE).float()[None]).item() == 0


def test_points_of_a_ball_reach_nowhere_once_mirrored_at_its_centre():
    point_map, mask = ball()
    lines, empty = sight_lines(point_map, mask, 300), EmptySpace(point_map, mask)
    points = lines.seen_points
    across_x = torch.tensor(ACROSS_X).float()
    right = mirrored_reach(MovedPose(shifted(0, 0, 0)), points, across_x, empty).item()
    wrong = mirrored_reach(MovedPose(shifted(0.3, 0, 0)), points, across_x, empty).item()
    assert right < 0.01 and wrong > 10 * right
