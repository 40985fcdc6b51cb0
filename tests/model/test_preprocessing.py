"""What the goldens cannot show: refusals, gaps in the point map, and what objects of a photo share."""

import numpy as np
import pytest
import torch

from vendor_model.errors import MaskError
from vendor_model.preprocessing import (
    ObjectCentricSSI,
    PreprocessorSettings,
    geometry_inputs,
    prepare_photo,
    texture_inputs,
)

SETTINGS = PreprocessorSettings(size=28)
GEOMETRY_ONLY = {"pointmap", "rgb_pointmap", "pointmap_scale", "pointmap_shift"}


@pytest.fixture
def scene():
    """A photo (40, 60), points on a tilted plane, and a rectangle as mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :60].astype(np.float32)
    points = np.stack([(30 - x) / 30, (20 - y) / 30, 3 + x / 60], axis=-1)
    mask = np.zeros((40, 60), bool)
    mask[10:25, 20:50] = True
    return rng.integers(0, 255, (40, 60, 3), dtype=np.uint8), points, mask


def test_object_is_centred_and_scene_has_unit_scale(scene):
    rgb, points, mask = scene
    inputs = geometry_inputs(prepare_photo(rgb, points, SETTINGS), mask, SETTINGS)
    seen = torch.from_numpy(points[mask])
    torch.testing.assert_close(inputs["pointmap_shift"][0], seen.median(dim=0).values)
    middle = inputs["pointmap"][0, :, 14, 14]
    assert middle.abs().max() < 0.1


def test_photo_without_point_map_gives_the_other_inputs(scene):
    rgb, points, mask = scene
    whole = geometry_inputs(prepare_photo(rgb, points, SETTINGS), mask, SETTINGS)
    bare = geometry_inputs(prepare_photo(rgb, None, SETTINGS), mask, SETTINGS)
    assert set(whole) - set(bare) == GEOMETRY_ONLY
    for name, value in bare.items():
        assert torch.equal(value, whole[name]), name


def test_objects_of_a_photo_share_its_image(scene):
    rgb, points, mask = scene
    photo = prepare_photo(rgb, points, SETTINGS)
    other = np.roll(mask, 8, axis=0)
    first, second = (texture_inputs(photo, each, SETTINGS)["rgb_image"] for each in (mask, other))
    assert first is second


def test_object_without_any_point_keeps_the_map_unchanged(scene):
    rgb, points, mask = scene
    points[mask] = np.nan
    inputs = geometry_inputs(prepare_photo(rgb, points, SETTINGS), mask, SETTINGS)
    assert inputs["pointmap_scale"].tolist() == [[1, 1, 1]] and inputs["pointmap_shift"].tolist() == [
        [0, 0, 0]
    ]


def test_mask_that_misses_a_coarse_map_falls_back_too():
    points = torch.rand(3, 4, 4)
    mask = torch.zeros(1, 400, 400)
    mask[:, 51:60, 51:60] = 1
    _, scale, shift = ObjectCentricSSI(scale_factor=2.0).normalize(points, mask)
    assert scale.tolist() == [2, 2, 2] and shift.tolist() == [0, 0, 0]


def test_override_is_ignored_where_it_is_not_allowed(scene):
    _, points, mask = scene
    points, mask = torch.from_numpy(points).permute(2, 0, 1), torch.from_numpy(mask)[None].float()
    given = torch.full((3,), 7.0)
    _, scale, _ = ObjectCentricSSI().normalize(points, mask, scale=given)
    assert torch.equal(scale, given)
    _, scale, _ = ObjectCentricSSI(allow_scale_and_shift_override=False).normalize(points, mask, scale=given)
    assert not torch.equal(scale, given)


@pytest.mark.parametrize(("rows", "columns", "word"), [(0, 0, "empty"), (2, 9, "9 x 2"), (9, 1, "1 x 9")])
def test_useless_masks_are_refused(scene, rows, columns, word):
    rgb, points, mask = scene
    mask[:] = False
    mask[5 : 5 + rows, 5 : 5 + columns] = True
    with pytest.raises(MaskError, match=word):
        geometry_inputs(prepare_photo(rgb, points, SETTINGS), mask, SETTINGS)


def test_unknown_scale_rule_is_refused():
    with pytest.raises(ValueError, match="scene_median"):
        ObjectCentricSSI(use_scene_scale="scene_median")
