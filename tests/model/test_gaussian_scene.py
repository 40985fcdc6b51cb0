"""Splats of several objects in one scene: what the goldens leave open."""

import numpy as np
from splats import covariances

from vendor_model.surface.gaussian_scene import make_scene, normalize_scene, turn_z_up
from vendor_model.types import Gaussians, Pose


def splats(count: int = 20, opacity: float = 0.95) -> Gaussians:
    random = np.random.default_rng(0)
    return Gaussians(
        positions=random.uniform(-0.5, 0.5, (count, 3)).astype(np.float32),
        scales=random.uniform(0.01, 0.05, (count, 3)).astype(np.float32),
        rotations=random.normal(size=(count, 4)).astype(np.float32),
        opacities=np.full(count, opacity, np.float32),
        colors_dc=random.normal(size=(count, 3)).astype(np.float32),
        kernel=0.001,
    )


def test_splats_turn_with_their_object():
    half = np.sqrt(0.5)
    pose = Pose(np.array([half, 0, 0, half]), np.array([0.0, 0.0, 2.0]), np.full(3, 2.0))
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # R(q), which multiplies rows
    scene = make_scene([(splats(), pose)])
    np.testing.assert_allclose(scene.positions, 2 * splats().positions @ turn + [0, 0, 2], atol=1e-6)
    np.testing.assert_allclose(covariances(scene), 4 * turn.T @ covariances(splats()) @ turn, atol=1e-6)


def test_z_up_turns_places_and_splats_alike():
    scene = turn_z_up(splats())
    turn = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(scene.positions, splats().positions @ turn, atol=1e-6)
    np.testing.assert_allclose(covariances(scene), turn.T @ covariances(splats()) @ turn, atol=1e-6)


def test_a_scene_of_faint_splats_is_normalized_by_all_of_them():
    scene = normalize_scene(splats(opacity=0.5))
    low, high = scene.positions.min(0), scene.positions.max(0)
    np.testing.assert_allclose((high - low).max(), 1, rtol=1e-5)
    np.testing.assert_allclose(low + high, 0, atol=1e-6)
