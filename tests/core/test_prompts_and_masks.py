"""Clicks, masks and EXIF orientation, without Blender."""

import struct

import numpy as np
import pytest

from sam3d_blender.core import exif, masks, state
from sam3d_blender.core.errors import ArtistError


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (96, 128)])
def test_a_mask_survives_being_packed(size):
    mask = np.random.default_rng(3).random(size) > 0.5
    packed = masks.pack(mask)
    assert packed.isascii()
    np.testing.assert_array_equal(masks.unpack(packed), mask)


def test_alpha_is_the_mask_where_it_varies_and_brightness_elsewhere():
    rgba = np.zeros((4, 4, 4), np.float32)
    rgba[:2, :, :3] = 0.9
    rgba[..., 3] = 1
    mask = masks.from_pixels(rgba, "cup")
    assert mask[:2].all() and not mask[2:].any()
    rgba[:, 0, 3] = 0
    mask = masks.from_pixels(rgba, "cup")
    assert not mask[:, 0].any() and mask[:, 1:].all()


@pytest.mark.parametrize(
    "mask, words",
    [
        (np.ones((4, 5), bool), "5 × 4 pixels and the photo 20 × 10"),
        (np.zeros((10, 20), bool), "covers 0 pixels"),
        (np.ones((10, 20), bool), "covers the whole photo"),
    ],
)
def test_a_mask_of_no_use_is_refused_in_words(mask, words):
    with pytest.raises(ArtistError, match=words):
        masks.check(mask, (10, 20), "cup")


def test_the_outline_is_the_inner_rim():
    mask = np.zeros((9, 9), bool)
    mask[2:8, 2:8] = True
    inside = np.zeros_like(mask)
    inside[4:6, 4:6] = True
    np.testing.assert_array_equal(masks.outline(mask, 2), mask & ~inside)
    np.testing.assert_array_equal(
        masks.outline(np.ones((3, 3), bool)), np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
    )


@pytest.mark.parametrize("x, y", [(-1, 3), (3, -0.5), (20, 3), (3, 10)])
def test_a_click_outside_the_photo_is_refused(x, y):
    with pytest.raises(ArtistError, match="20 × 10"):
        state.check_click(x, y, (10, 20))


def test_the_key_of_clicks_tells_place_sign_and_number_apart():
    click = state.Click(3, 4, True)
    others = [state.Click(3, 4.5, True), state.Click(4, 3, True)]
    keys = {state.prompt_key([click])} | {state.prompt_key([other]) for other in others}
    keys |= {state.prompt_key([click, click]), state.prompt_key([click, state.Click(3, 4, False)])}
    assert len(keys) == 5
    assert state.prompt_key([]) == state.prompt_key([state.Click(3, 4, False)]) == ""


def test_neighbouring_objects_have_clearly_different_colours():
    colors = np.array([state.object_color(index) for index in range(12)])
    assert np.abs(np.diff(colors, axis=0)).max(axis=1).min() > 0.3


STORED = np.arange(6).reshape(2, 3, 1)
UPRIGHT = {
    1: [[0, 1, 2], [3, 4, 5]],
    2: [[2, 1, 0], [5, 4, 3]],
    3: [[5, 4, 3], [2, 1, 0]],
    4: [[3, 4, 5], [0, 1, 2]],
    5: [[0, 3], [1, 4], [2, 5]],
    6: [[3, 0], [4, 1], [5, 2]],
    7: [[5, 2], [4, 1], [3, 0]],
    8: [[2, 5], [1, 4], [0, 3]],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_exif_orientation_is_turned_upright(orientation):
    assert exif.upright(STORED, orientation)[..., 0].tolist() == UPRIGHT[orientation]


@pytest.mark.parametrize("order, mark", [("<", b"II*\0"), (">", b"MM\0*")])
@pytest.mark.parametrize(
    "before", [b"", b"\xff\xd8\xff\xe1??Exif\0\0", b"\x89PNG....eXIf", b"RIFF..WEBPEXIF????"]
)
def test_the_orientation_is_found_in_each_kind_of_file(order, mark, before):
    directory = struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, 8, 0, 0)
    assert exif.orientation(before + mark + directory) == 8


@pytest.mark.parametrize("content", [b"", b"Exif\0\0II*\0\xff\xff\xff\x00", b"MM\0*" + b"\0" * 3])
def test_a_damaged_tag_means_upright(content):
    assert exif.orientation(content) == 1
