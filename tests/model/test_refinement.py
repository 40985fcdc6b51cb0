"""Layout refinement on a box whose photo, mask and point map are computed, not rendered by our own code."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vendor_model.layout.refinement import RefinementSettings, mask_iou, refine_pose
from vendor_model.layout.silhouette import soft_silhouette
from vendor_model.types import PointMap, Pose, Surface

LANDSCAPE, PORTRAIT, FOCAL = (120, 160), (150, 110), 150.0
WALL = 4.0
HALF_SIDES = np.array([0.5, 0.3, 0.4])
SETTINGS = RefinementSettings(working_size=160, render_size=96)
TRUE_POSE = Pose(np.array([0.82, 0.45, 0.2, 0.3]) / 1.003, np.array([0.1, -0.05, 2.5]), np.full(3, 0.9))


@pytest.fixture(autouse=True)
def one_thread():
    """The arrays are small: threads would wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def box(cells: int = 6) -> Surface:
    """A box of 12 cells² triangles, each side a grid."""
    steps = np.linspace(-1, 1, cells + 1)
    u, v = (grid.reshape(-1) for grid in np.meshgrid(steps, steps, indexing="ij"))
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).reshape(-1)
    quads = np.stack([corner, corner + cells + 1, corner + cells + 2, corner + 1], axis=-1)
    side = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            sheet = np.roll(np.stack([np.full_like(u, sign), u, v], axis=-1), axis, axis=-1)
            faces.append((side if sign > 0 else side[:, ::-1]) + len(u) * len(vertices))
            vertices.append(sheet * HALF_SIDES)
    vertices = np.concatenate(vertices).astype(np.float32)
    return Surface(vertices, np.concatenate(faces).astype(np.int32), np.ones_like(vertices))


def photograph(pose: Pose, size: tuple[int, int] = LANDSCAPE) -> tuple[np.ndarray, PointMap]:
    """Mask and point map of the posed box in front of a wall, by intersecting rays with the box."""
    height, width = size
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(width / 2 - columns) / FOCAL, (height / 2 - rows) / FOCAL, np.ones_like(rows)], axis=-1)
    to_object = Rotation.from_quat(pose.rotation, scalar_first=True).as_matrix().T / pose.scale[0]
    with np.errstate(divide="ignore"):
        crossings = (np.array([-1, 1])[:, None, None, None] * HALF_SIDES + pose.translation @ to_object) / (
            rays @ to_object
        )
    enter, leave = crossings.min(0).max(-1), crossings.max(0).min(-1)
    mask = enter < leave
    points = rays * np.where(mask, enter, WALL)[..., None]
    intrinsics = np.array([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
    return mask, PointMap(points.astype(np.float32), intrinsics)


def disturbed(turn=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0), resize=1.0) -> Pose:
    rotation = Rotation.from_quat(TRUE_POSE.rotation, scalar_first=True) * Rotation.from_rotvec(turn)
    return Pose(
        rotation.as_quat(scalar_first=True), TRUE_POSE.translation + np.array(shift), TRUE_POSE.scale * resize
    )


def test_the_gradient_of_a_silhouette_is_the_same_each_time_on_many_threads():
    torch.set_num_threads(4)
    surface, size = box(30), (256, 256)
    faces, weights = torch.from_numpy(surface.faces).long(), torch.rand(size)
    intrinsics = torch.tensor([[250.0, 0, 128], [0, 250, 128], [0, 0, 1]])

    def gradient() -> torch.Tensor:
        vertices = torch.from_numpy(surface.vertices + np.float32([0, 0, 3])).requires_grad_()
        return torch.autograd.grad(
            (soft_silhouette(vertices, faces, intrinsics, size) * weights).sum(), vertices
        )[0]

    first = gradient()
    assert first.abs().max() > 0
    assert all(torch.equal(first, gradient()) for _ in range(8))


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_the_true_pose_covers_its_mask(size):
    mask, point_map = photograph(TRUE_POSE, size)
    assert mask_iou(box(), TRUE_POSE, mask, point_map, max(size)) > 0.995
    assert mask_iou(box(), TRUE_POSE, mask, point_map) > 0.97


@pytest.mark.parametrize(
    "pose",
    [
        disturbed(turn=(0.3, -0.25, 0.1)),
        disturbed(shift=(0.1, -0.06, 0.1)),
        disturbed(resize=1.2),
        disturbed(turn=(-0.1, 0.1, 0.1), shift=(-0.05, 0.05, -0.1), resize=0.85),
    ],
    ids=["turned", "shifted", "too large", "all of it"],
)
def test_refinement_raises_the_overlap_and_nears_the_true_place(pose):
    mask, point_map = photograph(TRUE_POSE)
    before = mask_iou(box(), pose, mask, point_map)
    refined = refine_pose(box(), pose, mask, point_map, SETTINGS)
    after = mask_iou(box(), refined.pose, mask, point_map)
    assert refined.accepted
    assert refined.iou == pytest.approx(after, abs=0.03)
    assert after > max(before + 0.02, 0.94)
    assert np.abs(refined.pose.translation - TRUE_POSE.translation).max() < 0.12
    assert refined.pose.scale == pytest.approx(TRUE_POSE.scale, rel=0.1)


def test_a_map_that_is_handed_in_may_be_in_any_unit():
    mask, point_map = photograph(TRUE_POSE)
    pose, found = disturbed(shift=(0.1, -0.06, 0.1), turn=(-0.1, 0.1, 0.1)), []
    for unit in (2.0**-7, 1.0, 2.0**10):  # powers of two, which round nothing
        known = replace(point_map, points=(point_map.points * unit).astype(np.float32), handed_in=True)
        placed = replace(pose, translation=pose.translation * unit, scale=pose.scale * unit)
        refined = refine_pose(box(), placed, mask, known, SETTINGS)
        assert refined.accepted
        found.append((refined.pose.translation / unit, refined.pose.scale / unit, refined.pose.rotation))
    for one in found[1:]:
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(found[0]))
    blind = replace(point_map, points=np.full_like(point_map.points, 2.0), handed_in=True)
    unchanged = refine_pose(box(), TRUE_POSE, np.zeros_like(mask), blind, SETTINGS)
    assert not unchanged.accepted and unchanged.pose is TRUE_POSE


def hide_behind_a_pole(mask, point_map):
    points = point_map.points.copy()
    points[:, 76:82] = [0, 0, 1.0]
    visible = mask.copy()
    visible[:, 76:82] = False
    return visible, replace(point_map, points=points)


def lose_the_points(mask, point_map):
    return mask, replace(point_map, points=np.full_like(point_map.points, np.nan))


def cut_by_the_border(mask, point_map):
    columns = np.flatnonzero(mask.any(0))
    left = columns.mean().astype(int)
    intrinsics = point_map.intrinsics - [[0, 0, left], [0, 0, 0], [0, 0, 0]]
    return mask[:, left:], PointMap(point_map.points[:, left:], intrinsics)


def empty_the_mask(mask, point_map):
    return np.zeros_like(mask), point_map


@pytest.mark.parametrize("spoil", [hide_behind_a_pole, lose_the_points, cut_by_the_border, empty_the_mask])
def test_a_refused_refinement_returns_the_pose_as_it_was(spoil):
    mask, point_map = spoil(*photograph(TRUE_POSE))
    pose = disturbed(shift=(0.05, 0.0, 0.0))
    refined = refine_pose(box(), pose, mask, point_map, SETTINGS)
    assert not refined.accepted
    assert refined.pose is pose


def test_a_result_that_is_not_better_is_refused():
    mask, point_map = photograph(TRUE_POSE)
    refined = refine_pose(box(), TRUE_POSE, mask, point_map, SETTINGS)
    assert not refined.accepted
    assert refined.pose is TRUE_POSE
