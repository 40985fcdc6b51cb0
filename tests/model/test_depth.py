"""The point map as the pipeline gets it: camera, frame and gaps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vendor_model.__main__ import MINI
from vendor_model.depth import ASPECT_TOLERANCE, FARTHEST, estimate_point_map, external_point_map
from vendor_model.errors import PhotoError
from vendor_model.focal import recover_focal_shift
from vendor_model.layout.frames import pixels_from_camera
from vendor_model.models.moge import MoGe
from vendor_model.pipeline import Pipeline
from vendor_model.types import Photo

HEIGHT, WIDTH, FOCAL_PX = 40, 60, 55.0


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MoGe(
        encoder={"img_size": 28, "embed_dim": 16, "depth": 4, "num_heads": 2},
        dim_proj=16,
        dim_upsample=[8, 8, 8],
        trained_area_range=[2000, 4000],
        last_conv_channels=8,
    )


@pytest.fixture
def photo():
    return Photo(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def true_points():
    """A wavy wall as a pinhole camera sees it, OpenCV axes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    z = 3 + 0.5 * np.sin(x / 9) + 0.3 * np.cos(y / 7)
    points = np.stack([(x - WIDTH / 2) / FOCAL_PX * z, (y - HEIGHT / 2) / FOCAL_PX * z, z], axis=-1)
    return points.astype(np.float32)


def show_everywhere(model, valid=True):
    """Make the model call every pixel valid, or none."""
    model.head.output_block[1][2].bias.data.fill_(100.0 if valid else -100.0)


def test_forward_takes_batches_and_gives_gradients(model):
    images = torch.rand(2, 3, HEIGHT, WIDTH)
    points, validity = model(images)
    assert points.shape == (2, HEIGHT, WIDTH, 3) and validity.shape == (2, HEIGHT, WIDTH)
    single, _ = model(images[1:])
    torch.testing.assert_close(points[1:], single, atol=1e-5, rtol=1e-4)
    (points.square().mean() + validity.square().mean()).backward()
    missing = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert missing == {"backbone.mask_token"}


@pytest.mark.parametrize("size", [(16, 400), (400, 16), (16, 16)])
def test_extreme_photos_still_have_a_patch(model, size):
    points, _ = model(torch.rand(1, 3, *size))
    assert points.shape == (1, *size, 3)


def test_known_focal_length_is_kept(model, photo):
    show_everywhere(model)
    point_map = estimate_point_map(model, Photo(photo.rgb, focal_px=FOCAL_PX))
    expected = [[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]]
    np.testing.assert_allclose(point_map.intrinsics, expected, rtol=1e-6)


def test_photo_without_surface_is_refused(model, photo):
    show_everywhere(model, valid=False)
    with pytest.raises(PhotoError, match="No surface"):
        estimate_point_map(model, photo)


def test_focal_and_shift_of_an_exact_camera():
    points = true_points()
    points[..., 2] -= 0.7
    focal, shift = recover_focal_shift(torch.from_numpy(points))
    assert focal * math.hypot(HEIGHT, WIDTH) / 2 == pytest.approx(FOCAL_PX, rel=0.02)
    assert shift == pytest.approx(0.7, abs=0.05)


def test_external_map_gets_the_camera_that_its_points_fit():
    points = true_points() * [-1, -1, 1]
    points[:5, :5] = np.inf
    point_map = external_point_map(points, (HEIGHT * 2, WIDTH * 2))
    assert point_map.points.shape == (HEIGHT * 2, WIDTH * 2, 3)
    assert np.isnan(point_map.points[:10, :10]).all() and np.isfinite(point_map.points[10:]).all()
    assert point_map.intrinsics[0, 0] == pytest.approx(FOCAL_PX * 2, rel=0.02)


def test_depth_along_the_axis_lies_on_the_rays_of_the_photos_pixels():
    depth = true_points()[..., 2].copy()
    depth[:5, :5], depth[5, :4] = np.nan, (np.inf, 1e10, 0, -2)
    size = HEIGHT * 2, WIDTH * 2
    point_map = external_point_map(depth, size, FOCAL_PX * 2)
    assert point_map.intrinsics[0, 0] == pytest.approx(FOCAL_PX * 2) and point_map.handed_in
    known = np.isfinite(point_map.points[..., 2])
    assert not known[:10, :10].any() and not known[10:12, :8].any() and known[12:].all()
    np.testing.assert_array_equal(point_map.points[12::2, ::2, 2], depth[6:])
    pixels = pixels_from_camera(point_map.points[known], point_map.intrinsics)
    np.testing.assert_allclose(pixels, np.argwhere(known)[:, ::-1] + 0.5, atol=1e-3)
    with pytest.raises(PhotoError, match="give the focal length"):
        external_point_map(depth, size)
    with pytest.raises(PhotoError, match="the depth of this very picture"):
        external_point_map(depth, size[::-1], FOCAL_PX)


def test_points_that_are_nowhere_in_front_are_unknown():
    points = (true_points() * [-1, -1, 1]).astype(np.float32)
    points[0, :4, 2] = np.inf, 1e10, 0, -2
    point_map = external_point_map(points, (HEIGHT, WIDTH), FOCAL_PX)
    assert np.isnan(point_map.points[0, :4]).all()
    np.testing.assert_array_equal(point_map.points[1:], points[1:])


@pytest.mark.parametrize("focal", [None, FOCAL_PX])
@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([1, 1, 1], "x runs the wrong way.*OpenCV"),  # as true_points has them
        ([-1, 1, 1], "y runs the wrong way"),
        ([1, -1, -1], "Nothing of the depth lies in front"),  # OpenGL's
    ],
)
def test_points_in_other_axes_are_refused_in_words(axes, words, focal):
    with pytest.raises(PhotoError, match=words):
        external_point_map(true_points() * axes, (HEIGHT, WIDTH), focal)


def test_depth_that_shows_nothing_is_refused_in_words():
    with pytest.raises(PhotoError, match="Nothing of the depth lies in front"):
        external_point_map(np.zeros((HEIGHT, WIDTH)), (HEIGHT, WIDTH), FOCAL_PX)


def test_points_far_behind_the_object_are_no_points_where_the_configuration_says_so():
    """Left of the photo the object, 2 away on the whole; right of it a wall, 7 away."""
    depth = np.where(np.arange(WIDTH) < WIDTH // 2, 2.0, 7.0) * np.ones((HEIGHT, 1))
    v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(WIDTH / 2 - u) / FOCAL_PX, (HEIGHT / 2 - v) / FOCAL_PX, np.ones((HEIGHT, WIDTH))], -1)
    photo = Photo(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), FOCAL_PX)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 5:25] = True
    pipeline = Pipeline.load(MINI, "cpu")
    scene = pipeline.set_photo(photo, lambda stage, fraction: None, rays * depth[..., None])

    def share_of_points(factor: float | None) -> float:
        pipeline.config = replace(pipeline.config, clip_pointmap_beyond_scale=factor)
        _, inputs = pipeline.geometry_condition(scene, mask)
        return inputs["rgb_pointmap"].isfinite().float().mean().item()

    whole = share_of_points(None)
    assert share_of_points(4.0) == whole
    wall = HEIGHT / WIDTH / 2  # of the square that the photo is padded to
    assert share_of_points(3.0) == pytest.approx(whole - wall, abs=0.02)


def test_both_rooms_call_the_same_unknown():
    from sam3d_blender.core import depth as blenders

    assert (blenders.FARTHEST, blenders.ASPECT_TOLERANCE) == (FARTHEST, ASPECT_TOLERANCE)
