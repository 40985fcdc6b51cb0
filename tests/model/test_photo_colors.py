"""What the photo shows of an object colours it; the hidden side follows in the photo's tones."""

from pathlib import Path

import numpy as np
import pytest

from vendor_model.layout.frames import camera_from_object
from vendor_model.photo import read_mask, read_photo
from vendor_model.pipeline import Pipeline
from vendor_model.surface.photo_colors import color_from_photo, facing, seen_colors, spread
from vendor_model.types import Gaussians, Pose, Surface

ROOT = Path(__file__).parents[2]
MINI, SAMPLES = ROOT / "vendor_model" / "mini", ROOT / "samples"
INTRINSICS = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
AHEAD = Pose(np.array([1.0, 0, 0, 0]), np.array([0.0, 0, 4]), np.full(3, 2.0))
"""Camera axes: x left, y up, z forward."""


def ball(count: int = 48) -> Surface:
    """A ball of radius 0.4, grey all over, finely meshed, its poles at the top and bottom of the picture."""
    azimuth, height = np.meshgrid(np.linspace(0, 2 * np.pi, count, endpoint=False), np.linspace(-1, 1, count))
    ring = np.sqrt(1 - height**2)
    vertices = (
        0.4
        * np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height], -1).reshape(-1, 3)[:, [1, 2, 0]]
    )
    number = np.arange(count * count).reshape(count, count)
    a, b = number[:-1], np.roll(number, -1, axis=1)[:-1]
    c, d = np.roll(number, -1, axis=1)[1:], number[1:]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return Surface(
        vertices.astype(np.float32), faces.astype(np.int32), np.full(vertices.shape, 0.5, np.float32)
    )


def splats(surface: Surface) -> Gaussians:
    count = len(surface.vertices)
    zeros = np.zeros((count, 3), np.float32)
    return Gaussians(surface.vertices, zeros, np.zeros((count, 4)), np.ones(count), zeros, 0.0)


def photo() -> tuple[np.ndarray, np.ndarray]:
    """Left half red, right half blue, and the round mask that the ball covers."""
    rgb = np.zeros((80, 100, 3), np.uint8)
    rgb[:, :50] = [200, 30, 30]
    rgb[:, 50:] = [30, 30, 200]
    rows, columns = np.mgrid[:80, :100] + 0.5
    return rgb, (rows - 40) ** 2 + (columns - 50) ** 2 < 20**2


def test_the_seen_side_takes_the_photos_colours_left_and_right():
    surface, (rgb, mask) = ball(), photo()
    colored, _ = color_from_photo(surface, splats(surface), AHEAD, rgb, mask, INTRINSICS)
    front = surface.vertices[:, 2] < -0.3  # towards the camera
    left, right = surface.vertices[:, 0] > 0.15, surface.vertices[:, 0] < -0.15
    assert np.abs(colored.colors[front & left] - [200 / 255, 30 / 255, 30 / 255]).max() < 0.06
    assert np.abs(colored.colors[front & right] - [30 / 255, 30 / 255, 200 / 255]).max() < 0.06


def test_the_hidden_side_keeps_the_models_pattern_in_the_photos_tones():
    surface, (rgb, mask) = ball(), photo()
    rgb[:] = [200, 30, 30]
    surface.colors[::2] += 0.05
    colored, gaussians = color_from_photo(surface, splats(surface), AHEAD, rgb, mask, INTRINSICS)
    back = surface.vertices[:, 2] > 0.2
    assert np.abs(colored.colors[back].mean(0) - [200 / 255, 30 / 255, 30 / 255]).max() < 0.1
    brighter = np.arange(len(back)) % 2 == 0
    pattern = colored.colors[back & brighter, 1].mean() - colored.colors[back & ~brighter, 1].mean()
    assert pattern == pytest.approx(0.05, abs=0.02)
    assert (gaussians.colors_dc[back][:, 0] > gaussians.colors_dc[back][:, 2]).all()


def test_only_what_faces_the_camera_inside_the_mask_and_before_the_rest_is_seen():
    surface, (rgb, mask) = ball(), photo()
    mask[:40] = False
    _, weights = seen_colors(surface, AHEAD, rgb, mask, INTRINSICS)
    seen = weights > 0
    assert seen.any() and (surface.vertices[seen, 2] < 0).all() and (surface.vertices[seen, 1] < 0).all()
    count = len(surface.vertices)
    shield = surface.vertices * np.float32([1, 1, 0.1])
    both = Surface(
        np.concatenate([shield, surface.vertices + np.float32([0, 0, 0.6])]),
        np.concatenate([surface.faces, surface.faces + count]),
        np.concatenate([surface.colors, surface.colors]),
    )
    _, weights = seen_colors(both, AHEAD, *photo(), INTRINSICS)
    assert weights[:count].any()
    assert not weights[count:].any()


def test_the_photo_counts_less_the_more_the_surface_turns_away():
    surface = ball()
    looks = facing(camera_from_object(surface.vertices, AHEAD), surface.faces)
    toward = surface.vertices[:, 2]
    assert (looks[toward < -0.35] == 1).all() and (looks[toward > 0] == 0).all()
    assert ((looks > 0) & (looks < 1)).any()
    _, weights = seen_colors(surface, AHEAD, *photo(), INTRINSICS)
    assert weights.max() == 1 and ((weights > 0) & (weights < 1)).any()


def test_an_object_that_the_mask_does_not_meet_keeps_its_colours():
    surface, (rgb, mask) = ball(), photo()
    away = Pose(AHEAD.rotation, np.array([3.0, 0, 4]), AHEAD.scale)
    colored, gaussians = color_from_photo(surface, splats(surface), away, rgb, mask, INTRINSICS)
    assert colored is surface and not gaussians.colors_dc.any()


def test_an_object_behind_the_camera_keeps_its_colours():
    surface, (rgb, mask) = ball(), photo()
    behind = Pose(AHEAD.rotation, -AHEAD.translation, AHEAD.scale)
    colored, gaussians = color_from_photo(surface, splats(surface), behind, rgb, mask, INTRINSICS)
    assert colored is surface and not gaussians.colors_dc.any()


def test_values_spread_evenly_between_the_known_and_as_their_mean_where_nothing_is_connected():
    strip = np.array([[0, 1, 1], [1, 2, 2], [2, 3, 3], [3, 4, 4], [5, 5, 5]])
    values, weights = np.array([[0.0], [9], [9], [9], [4.0], [9]]), np.array([1.0, 0, 0, 0, 1, 0]) * 1e4
    found = spread(values, weights, strip)[:, 0]
    assert found == pytest.approx([0, 1, 2, 3, 4, 2], abs=0.02)


def test_the_samples_toadstool_is_red():
    """Through the pipeline with the embedded model, whose configuration asks for it."""
    pipeline = Pipeline.load(MINI, "cpu")
    scene = pipeline.set_photo(read_photo(SAMPLES / "toys.jpg"), lambda stage, done: None)
    mask = read_mask(SAMPLES / "masks" / "toadstool.png", scene.photo.size)
    [made] = pipeline.reconstruct(scene, [mask], 0, lambda stage, done: None, refine_layout=False)
    red, green, blue = made.surface.colors.mean(0)
    assert red > green + 0.2 and red > blue + 0.2
