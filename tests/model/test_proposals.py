"""What of many masks is proposed: plausible ones, once each, the best first."""

import numpy as np
import pytest

from vendor_model.segmentation.proposals import grid_points, is_plausible, largest_part, select

SIZE = (100, 200)


def rectangle(top, left, bottom, right):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_grid_points_are_the_middles_of_equal_cells():
    points = grid_points(SIZE, 4)
    assert points.shape == (16, 2)
    assert points[0].tolist() == [25, 12.5] and points[-1].tolist() == [175, 87.5]


@pytest.mark.parametrize(
    "mask, plausible",
    [
        (rectangle(20, 20, 60, 80), True),
        (rectangle(20, 20, 22, 22), False),  # a speck
        (rectangle(1, 1, 99, 199), False),  # nearly everything
        (rectangle(50, 0, 100, 200), False),  # a floor
        (rectangle(50, 30, 100, 80), True),  # cut off by the frame
        (rectangle(60, 150, 100, 200), True),  # in a corner
        (rectangle(97, 20, 100, 180), False),  # a sliver along the frame
    ],
)
def test_specks_backgrounds_and_slivers_are_no_objects(mask, plausible):
    assert is_plausible(mask) == plausible


def test_the_best_mask_of_each_object_is_kept_the_best_first():
    thing, same, part = rectangle(20, 20, 60, 80), rectangle(20, 20, 60, 90), rectangle(20, 20, 60, 40)
    other, floor = rectangle(30, 120, 70, 170), rectangle(50, 0, 100, 200)
    assert select([same, thing, part, floor, other], [0.8, 0.9, 0.85, 0.99, 0.95]) == [4, 1, 2]
    assert select([], []) == select([floor], [1.0]) == []


def test_crumbs_and_holes_go():
    mask = rectangle(20, 20, 60, 80)
    crumbly = mask ^ rectangle(30, 30, 35, 35) ^ rectangle(80, 80, 83, 83)
    np.testing.assert_array_equal(largest_part(crumbly), mask)
    assert not largest_part(np.zeros(SIZE, bool)).any()
