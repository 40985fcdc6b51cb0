"""Depth files: what is taken for depth, and what is refused."""

import numpy as np
import pytest

from sam3d_blender.core import depth
from sam3d_blender.core.errors import ArtistError

PHOTO = (60, 80)


def test_depth_and_points_come_back_as_single_precision():
    values = np.full((30, 40), 800, np.uint16)
    values[3, 3] = 0
    found = depth.check(values, PHOTO, "depth.npy")
    assert found.dtype == np.float32 and found[3, 3] == 0 and found[0, 0] == 800
    points = np.ones((60, 80, 3))
    points[1, 1, 0] = np.nan
    np.testing.assert_array_equal(depth.check(points, PHOTO, "points.npy"), points)


def test_depth_is_in_one_channel_or_alike_in_three():
    ramp = np.linspace(1, 9, 12).reshape(3, 4)
    ramp[0, 0] = np.nan
    nothing = np.zeros_like(ramp)
    for channels in ((ramp, ramp, ramp), (ramp, nothing, nothing)):
        np.testing.assert_array_equal(depth.from_channels(np.stack([*channels, ramp], -1), "z.exr"), ramp)
    with pytest.raises(ArtistError, match="holds colours; save the Depth pass alone"):
        depth.from_channels(np.stack([ramp, ramp / 2, ramp, ramp], -1), "beauty.exr")


@pytest.mark.parametrize(
    "values, words",
    [
        (np.ones((60, 80, 4)), "points"),
        (np.full((60, 80), "a"), "give depth as numbers"),
        (np.ones((80, 60)), "60 × 80 and the photo 80 × 60"),
        (np.ones((0, 0)), "this very picture"),
        (np.full((60, 80), -3.0), "no depth in front"),
        (np.full((60, 80), 1e10), "no depth in front"),
    ],
)
def test_what_is_no_depth_of_the_photo_is_refused_in_words(values, words):
    with pytest.raises(ArtistError, match=words):
        depth.check(values, PHOTO, "depth.npy")
