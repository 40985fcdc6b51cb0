"""Depth files: what is taken for depth, and what is refused."""

import numpy as np
import pytest

from sam3d_blender.core import depth
from sam3d_blender.core.errors import ArtistError

PHOTO = (60, 80)


def test_depth_is_unknown_where_nothing_is_in_front_of_the_camera():
    values = np.full((30, 40), 2.5)
    values[0, :5] = np.nan, np.inf, -1, 0, 1e10
    found = depth.from_array(values, PHOTO, "depth.exr")
    assert found.dtype == np.float32 and np.isnan(found[0, :5]).all()
    assert (found[1:] == 2.5).all()


def test_millimetres_of_a_sensor_are_depth_too():
    values = np.full((30, 40), 800, np.uint16)
    values[3, 3] = 0
    found = depth.from_array(values, PHOTO, "depth.npy")
    assert np.isnan(found[3, 3]) and found[0, 0] == 800


def test_points_are_unknown_as_a_whole():
    points = np.ones((60, 80, 3), np.float32)
    points[1, 1, 0] = np.nan
    points[2, 2, 2] = -1
    found = depth.from_array(points, PHOTO, "points.npy")
    assert np.isnan(found[1, 1]).all() and np.isnan(found[2, 2]).all() and np.isfinite(found[0]).all()


@pytest.mark.parametrize(
    "values, words",
    [
        (np.ones((60, 80, 4)), "points"),
        (np.full((60, 80), "a"), "give depth as numbers"),
        (np.ones((80, 60)), "60 × 80 and the photo 80 × 60"),
        (np.ones((0, 0)), "this very picture"),
        (np.full((60, 80), -3.0), "no depth in front"),
    ],
)
def test_what_is_no_depth_of_the_photo_is_refused_in_words(values, words):
    with pytest.raises(ArtistError, match=words):
        depth.from_array(values, PHOTO, "depth.npy")
