"""Strokes of the brush, overlapping masks, index images, warnings: without Blender."""

from itertools import pairwise

import numpy as np
import pytest

from sam3d_blender.core import brush, masks, shapes, state
from sam3d_blender.core.errors import ArtistError
from sam3d_blender.core.shapes import Marked

SIZE = (40, 60)


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def shape_of(*marked: Marked, smaller_wins: bool = True) -> tuple:
    return shapes.shapes(marked, smaller_wins)


@pytest.mark.parametrize("points", [[(30, 20)], [(10, 10), (50, 30)], [(5, 5), (20, 30), (55, 12)]])
def test_a_stroke_covers_what_is_within_its_radius(points):
    radius = 4.0
    mask = np.zeros(SIZE, bool)
    brush.paint(mask, points, radius)
    ends = np.array(points, float)
    along = np.concatenate([np.linspace(a, b, 400) for a, b in pairwise(ends)] or [ends])
    y, x = np.indices(SIZE) + 0.5
    distance = np.sqrt(((np.stack([x, y], -1)[..., None, :] - along) ** 2).sum(-1)).min(-1)
    assert mask[distance < radius - 0.05].all()
    assert not mask[distance > radius + 0.05].any()


@pytest.mark.parametrize("points", [[(-3, 20)], [(62, 50), (70, -5)], [(-9, -9)]])
def test_a_stroke_may_leave_the_photo(points):
    mask = np.zeros(SIZE, bool)
    brush.paint(mask, points, 5)
    assert mask.sum() < 60


def test_the_thinnest_brush_still_paints_the_pixel_under_it():
    mask = np.zeros(SIZE, bool)
    brush.paint(mask, [(7.9, 3.1)], 0)
    assert mask[3, 7]


def test_the_last_stroke_wins():
    nothing = np.zeros(SIZE, bool)
    first, second = square(5, 5, 20), square(10, 10, 20)
    added, erased = brush.add_stroke(nothing, nothing, first, erase=False)
    added, erased = brush.add_stroke(added, erased, second, erase=True)
    np.testing.assert_array_equal(added, first & ~second)
    np.testing.assert_array_equal(erased, second)
    added, erased = brush.add_stroke(added, erased, first, erase=False)
    np.testing.assert_array_equal(erased, second & ~first)


def test_strokes_lie_on_top_of_the_mask_that_was_found():
    found, added, erased = square(10, 10, 10), square(0, 40, 8), square(10, 10, 4)
    [shape] = shape_of(Marked(masks.pack(found), masks.pack(added), masks.pack(erased)))
    np.testing.assert_array_equal(shape.mask, (found | added) & ~erased)
    [painted] = shape_of(Marked("", masks.pack(added), ""))
    np.testing.assert_array_equal(painted.mask, added)
    assert shape_of(Marked("", "", ""), Marked("", "", masks.pack(erased))) == (None, None)


def test_the_smaller_of_overlapping_masks_takes_the_pixels():
    table, cup, spoon = square(0, 0, 40), square(10, 10, 12), square(14, 14, 12)
    spoon[16:] = False
    marked = [Marked(masks.pack(mask), "", "") for mask in (table, cup, spoon)]
    own = [shape.mask for shape in shape_of(*marked)]
    np.testing.assert_array_equal(own[2], spoon)
    np.testing.assert_array_equal(own[1], cup & ~spoon)
    np.testing.assert_array_equal(own[0], table & ~cup & ~spoon)
    assert shape_of(*marked)[0].whole.sum() == table.sum()
    both = shape_of(*marked, smaller_wins=False)
    np.testing.assert_array_equal(both[0].mask, table)


def test_one_of_two_equal_masks_is_hidden_and_says_so():
    twice = Marked(masks.pack(square(10, 10, 12)), "", "")
    first, second = shape_of(twice, twice)
    assert (first.area, second.area) == (0, 144)
    assert "Smaller objects take all but" in first.warning
    assert first.bounds == second.bounds == (10, 10, 22, 22)


def test_a_mask_that_does_not_change_keeps_its_array():
    alone, other = (Marked(masks.pack(square(0, left, 10)), "", "") for left in (0, 30))
    more = Marked(other.found, masks.pack(square(20, 30, 5)), "")
    assert shape_of(alone, other)[0].mask is shape_of(alone, more)[0].mask


def test_the_handle_stands_on_top_of_the_mask():
    mask = square(10, 10, 9)
    mask[5:10, 12:15] = True
    [shape] = shape_of(Marked(masks.pack(mask), "", ""))
    assert shape.top == (13.5, 5.0)


@pytest.mark.parametrize(
    "mask, words",
    [
        (square(0, 20, 35), "edge of the photo"),
        (square(5, 25, 35), "edge of the photo"),
        (square(10, 10, 6), "Only 36 pixels"),
        (square(2, 2, 35), ""),
    ],
)
def test_what_makes_a_poor_object_is_said_not_refused(mask, words):
    warning = masks.warning(mask, mask)
    assert words in warning if words else warning == ""
    masks.check(mask, SIZE, "cup")


def test_an_index_image_has_a_mask_for_each_colour():
    rgba = np.zeros((*SIZE, 4), np.float32)
    rgba[..., 3] = 1
    rgba[square(0, 0, 10)] = (1 / 255, 1 / 255, 1 / 255, 1)
    rgba[square(0, 30, 10)] = (0.5, 0, 0, 1)
    rgba[square(20, 30, 10)] = (1, 1, 1, 0)
    dark, red = masks.from_indices(rgba, "index.png")
    np.testing.assert_array_equal(dark, square(0, 0, 10))
    np.testing.assert_array_equal(red, square(0, 30, 10))


def test_an_index_image_without_objects_or_with_smooth_edges_is_refused():
    rgba = np.ones((*SIZE, 4), np.float32) * (0, 0, 0, 1)
    with pytest.raises(ArtistError, match="0 colours"):
        masks.from_indices(rgba, "black.png")
    rgba[..., 0] = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
    with pytest.raises(ArtistError, match=r"photo\.png.*2399 colours"):
        masks.from_indices(rgba, "photo.png")


def test_soft_edges_are_halved_and_grey_pictures_refused():
    rgba = np.ones((*SIZE, 4), np.float32)
    rgba[..., :3] = square(10, 10, 12)[..., None]
    rgba[9, 10:22, :3], rgba[22, 10:22, :3] = 0.4, 0.6
    assert masks.from_pixels(rgba, "soft.png").sum() == 12 * 13
    rgba[..., :3] = 0.5
    with pytest.raises(ArtistError, match=r"100% of “photo\.png” is grey"):
        masks.from_pixels(rgba, "photo.png")


def test_a_box_is_put_in_order_and_cut_to_the_photo():
    assert state.check_box((50, 30, -5, 99), SIZE) == (0, 30, 50, 40)
    with pytest.raises(ArtistError, match="60 × 40"):
        state.check_box((70, 3, 90, 20), SIZE)


def test_a_box_tells_prompts_apart_and_is_enough_for_a_mask():
    click = state.Click(3, 4, True)
    keys = {
        state.prompt_key([click]),
        state.prompt_key([click], (0, 0, 5, 5)),
        state.prompt_key([], (0, 0, 5, 5)),
    }
    assert len(keys) == 3 and "" not in keys
