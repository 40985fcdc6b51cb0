"""Shape and pose follow what mask and point map show: closed-form ellipsoids, then the embedded model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ellipsoids import CENTRE, RADIUS, SIZE, UPRIGHT, ball, ellipsoid

from vendor_model.errors import Cancelled
from vendor_model.evaluation.generated import known_photos
from vendor_model.evaluation.subjects import quietly, seen
from vendor_model.layout.geometry_fit import Fit, FitSettings, disagreement, fit_geometry
from vendor_model.layout.mirror_planes import EmptySpace, mirrored_reach
from vendor_model.layout.moved_pose import MovedPose
from vendor_model.layout.sight_lines import seen_empty, sight_lines
from vendor_model.layout.transforms import quaternion_to_matrix
from vendor_model.pipeline import Pipeline
from vendor_model.training.recipe import MINI
from vendor_model.types import PointMap, Pose

RESOLUTION = 24
CENTRES = (np.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5
BEYOND = np.linalg.norm(np.stack(np.meshgrid(*3 * [CENTRES], indexing="ij")), axis=0)
"""How far the voxels' centres are from that of their cube."""
MINI_FOLDER = Path(__file__).parents[2] / "vendor_model" / "mini"


def decode(latent: torch.Tensor) -> torch.Tensor:
    """Logarithms of three radii (1, 1, 3) to the logits of that ellipsoid."""
    axis = (torch.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    return 20 * (1 - (places / latent[0, 0].exp()).norm(dim=-1))[None, None]


def radii(*values: float) -> torch.Tensor:
    return torch.tensor([[values]]).log()


SETTINGS = FitSettings(calm=0.0, front=0.05, behind=0.0)


def test_an_ellipsoid_becomes_the_ball_that_is_seen():
    point_map, mask = ball()
    wrong = Pose(UPRIGHT, CENTRE + np.array([0.15, 0.1, -0.2]), np.full(3, 1.7))
    fit = fit_geometry(decode, radii(0.3, 0.42, 0.36), wrong, point_map, mask, SETTINGS)
    assert fit.after < 0.25 * fit.before
    size = fit.pose.scale[0] * fit.shape[0, 0].exp().numpy()
    np.testing.assert_allclose(size[:2], RADIUS, rtol=0.05)
    front = fit.pose.translation - [0, 0, size[2]]  # how far it reaches back, nothing tells
    np.testing.assert_allclose(front, CENTRE - [0, 0, RADIUS], atol=0.06)


def test_what_one_side_shows_counts_for_the_hidden_other():
    """A third of a ball is hidden behind a board."""
    point_map, mask = ball(hidden_columns=SIZE * 36 // 96)
    fit = free_fit(point_map, mask)
    solid = fit.shape.view(3 * [RESOLUTION]) > 0
    grown = solid & torch.from_numpy(BEYOND > 0.34)
    seen, hidden = grown[CENTRES < -0.2].sum(), grown[CENTRES > 0.2].sum()
    assert seen > 20 and hidden > 0.6 * seen


def test_a_pose_keeps_to_its_planes_while_the_shape_is_fitted():
    point_map, mask = ball()
    posed = MovedPose(free_fit(point_map, mask).pose)
    lines, empty = sight_lines(point_map, mask, 300), EmptySpace(point_map, mask)
    points = lines.seen_points
    for plane in ([-1, 1, 1], [1, -1, 1]):
        assert mirrored_reach(posed, points, torch.tensor(plane), empty).item() < 5e-4


def free_fit(point_map: PointMap, mask: np.ndarray) -> Fit:
    """Too small a ball is predicted beside the place of the true one, and each voxel is free."""
    predicted = torch.from_numpy(6 * (0.32 - BEYOND)).float().view(1, -1, 1)
    return fit_geometry(
        lambda latent: latent.view(1, 1, *3 * [RESOLUTION]),
        predicted,
        Pose(UPRIGHT, CENTRE + np.array([0.08, 0, 0]), np.full(3, 2.0)),
        point_map,
        mask,
        SETTINGS,
    )


def test_what_hides_an_object_does_not_cut_it():
    point_map, mask = ball(hidden_columns=SIZE // 2)
    right = Pose(UPRIGHT, CENTRE, np.full(3, 2.0))
    fit = fit_geometry(decode, radii(0.4, 0.4, 0.4), right, point_map, mask, SETTINGS)
    # What is seen allows a smaller one too; cut at the board it would be half as wide.
    np.testing.assert_allclose(fit.pose.scale[0] * fit.shape[0, 0].exp(), RADIUS, rtol=0.2)


def test_a_wrong_turn_about_the_upright_is_found():
    """From a quarter turn away, where no slope leads back; the shape cannot change."""
    point_map, mask = ellipsoid(0.9, 0.3, 0.5)
    turned = Pose(np.array([0.5**0.5, 0, 0, 0.5**0.5]), CENTRE, np.full(3, 2.0))
    shape, still = radii(0.45, 0.15, 0.25), replace(SETTINGS, shape_rate=0.0)
    fit = fit_geometry(decode, shape, turned, point_map, mask, still)
    long_side = quaternion_to_matrix(torch.from_numpy(fit.pose.rotation))[0]
    assert abs(long_side[0]) > 0.98
    stuck = fit_geometry(decode, shape, turned, point_map, mask, replace(still, starts=1))
    assert fit.after < 0.5 * stuck.after


def test_a_good_fit_agrees_and_bad_ones_do_not():
    point_map, mask = ball()
    lines = sight_lines(point_map, mask, 300)

    def wrong(radius: float, shift: tuple[float, float, float] = (0, 0, 0)) -> float:
        posed = MovedPose(Pose(UPRIGHT, CENTRE + np.array(shift), np.full(3, 2.0)))
        rng, voxels = torch.Generator().manual_seed(0), decode(radii(radius, radius, radius))
        return disagreement(voxels, posed, lines, [torch.ones(3)], SETTINGS, rng).item()

    right = wrong(0.4)
    assert right < 1.2
    others = [
        wrong(0.45),
        wrong(0.33),
        wrong(0.4, (0.3, 0, 0)),
        wrong(0.4, (0, 0.3, 0)),
        wrong(0.4, (0, 0, 0.4)),
    ]
    assert min(others) > 1.2 * right


def test_nothing_seen_of_the_object_leaves_it_as_it_was():
    point_map, mask = ball()
    blind = replace(point_map, points=np.full_like(point_map.points, np.nan))
    pose, shape = Pose(UPRIGHT, CENTRE, np.full(3, 2.0)), radii(0.3, 0.3, 0.3)
    fit = fit_geometry(decode, shape, pose, blind, mask, SETTINGS)
    assert fit.pose is pose and fit.shape is shape


def test_places_before_a_surface_are_seen_to_be_empty():
    point_map, _ = ball()
    pose = Pose(UPRIGHT, CENTRE, np.ones(3))
    places = np.array([[0, 0, -RADIUS - 0.2], [0, 0, 0], [1.2, 0, 0], [0, 0, 3], [0, 9, 0]])
    assert seen_empty(places, pose, point_map, 0.05).tolist() == [True, False, True, False, False]


@pytest.fixture(scope="module")
def photo():
    return next(known_photos(1, 3, MINI.categories))


def test_the_embedded_model_follows_a_point_map_that_it_is_given(photo):
    pipeline = Pipeline.load(MINI_FOLDER, "cpu")
    scene, _ = seen(pipeline, photo, True)
    mask = photo.subjects[0].mask

    def overlap() -> float:
        return pipeline.reconstruct(scene, [mask], 0, quietly, refine_layout=False)[0].mask_iou

    fitted = overlap()
    pipeline.config = replace(pipeline.config, geometry_fit=False)
    assert scene.point_map.handed_in and fitted > overlap() + 0.1


def test_a_fit_tells_how_far_it_is_and_can_be_given_up(photo):
    pipeline = Pipeline.load(MINI_FOLDER, "cpu")
    scene, _ = seen(pipeline, photo, True)
    fractions = []

    def until_half(stage: str, fraction: float) -> None:
        if stage == "geometry":
            fractions.append(fraction)
            if fraction > 0.5:
                raise Cancelled

    with pytest.raises(Cancelled):
        pipeline.reconstruct(scene, [photo.subjects[0].mask], 0, until_half)
    # Where nothing is symmetric the steps that seek a plane fall away.
    assert fractions == sorted(fractions) and 10 < len(fractions) and fractions[-1] < 0.75


def test_the_models_own_depth_is_not_followed(photo):
    pipeline = Pipeline.load(MINI_FOLDER, "cpu")
    scene, _ = seen(pipeline, photo, False)
    made = pipeline.reconstruct(scene, [photo.subjects[0].mask], 0, quietly, refine_layout=False)
    pipeline.config = replace(pipeline.config, geometry_fit=False)
    plain = pipeline.reconstruct(scene, [photo.subjects[0].mask], 0, quietly, refine_layout=False)
    assert not scene.point_map.handed_in
    np.testing.assert_array_equal(made[0].surface.vertices, plain[0].surface.vertices)


def test_a_fit_that_leaves_nothing_of_the_object_is_not_taken():
    def fog(latent: torch.Tensor) -> torch.Tensor:
        return latent.view(1, 1, 1, 1, 1).expand(1, 1, 8, 8, 8)

    point_map, mask = ball()
    pose, shape = Pose(UPRIGHT, CENTRE, np.full(3, 2.0)), torch.ones(1, 1, 1)
    settings = replace(SETTINGS, shape_rate=0.3)
    fit = fit_geometry(fog, shape, pose, point_map, mask, settings)
    assert fit.shape.item() == 1 and fit.pose is pose
