"""Blender's camera and objects show a point at the pixel where the photo has it."""

import numpy as np
import pytest
from pinhole import blender_pixels, photo_pixels

from sam3d_blender.core import frames

LANDSCAPE = (640, 427, [[704.0, 0, 320.0], [0, 704.0, 213.5], [0, 0, 1]])
PORTRAIT = (480, 800, [[700.0, 0, 240.0], [0, 700.0, 400.0], [0, 0, 1]])
OFF_CENTRE = (640, 480, [[600.0, 0, 290.5], [0, 600.0, 251.0], [0, 0, 1]])
WIDE_PIXELS = (640, 480, [[600.0, 0, 300.0], [0, 500.0, 260.0], [0, 0, 1]])


@pytest.mark.parametrize(("width", "height", "intrinsics"), [LANDSCAPE, PORTRAIT, OFF_CENTRE, WIDE_PIXELS])
def test_photo_and_blender_camera_agree_on_every_pixel(width, height, intrinsics):
    world = np.random.default_rng(0).uniform([-1, 2, -1], [1, 4, 1], (50, 3))
    lens = frames.camera_lens(intrinsics, width, height)
    expected = photo_pixels(world, intrinsics)
    np.testing.assert_allclose(blender_pixels(world, lens, width, height), expected, atol=1e-9)


def test_straight_ahead_is_the_principal_point_and_left_up_are_left_up():
    _, _, intrinsics = LANDSCAPE
    ahead, left_up = photo_pixels([[0, 2, 0], [-0.5, 2, 0.5]], intrinsics)
    np.testing.assert_allclose(ahead, [320.0, 213.5])
    np.testing.assert_allclose(left_up, [320.0 - 176, 213.5 - 176])


@pytest.mark.parametrize("norm", [1.0, 3.0])
def test_object_stands_where_its_pose_says(norm):
    """The pose's definition, p_camera = scale * (p @ R(q)) + translation, against the Blender matrix."""
    half = np.sqrt(0.5)
    rotation = np.array([half, 0, 0, half])  # a quarter turn about z
    matrix_of_rotation = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    points = np.array([[0.1, 0.2, 0.3], [-0.4, 0.5, 0.0]])
    camera = 1.5 * points @ matrix_of_rotation + [0.3, -0.2, 2.0]
    transform = frames.object_transform(norm * rotation, [0.3, -0.2, 2.0], [1.5] * 3)
    matrix = frames.transform_matrix(transform)
    world = points @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(world, camera @ [[-1, 0, 0], [0, 0, 1], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(transform.rotation_quaternion), 1)
    np.testing.assert_allclose(transform.location, [-0.3, 2.0, -0.2])
