"""Depth of the photo from files: read as they are meant, followed, and refused in words."""

import bpy
import numpy as np
import pytest
from box_worker import DEPTH

HEIGHT, WIDTH = 96, 128


@pytest.fixture
def photo(sam3d, photo_file, mask_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_mask(filepath=str(mask_file))
    return bpy.context.scene.sam3d.photo


def write_exr(path, depth: np.ndarray) -> None:
    """As a renderer writes its Depth pass: one number in all channels, unmanaged."""
    height, width = depth.shape
    image = bpy.data.images.new(path.stem, width, height, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(np.repeat(depth[::-1, :, None], 4, axis=2).astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "OPEN_EXR"
    image.save()
    bpy.data.images.remove(image)


def distance() -> float:
    """Of the lamp from the camera, along its view, after a reconstruction."""
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    scene = bpy.context.scene
    return (scene.objects["lamp"].matrix_world.translation - scene.camera.location).y


def test_the_depth_of_an_exr_arrives_as_it_was_written(sam3d, photo, tmp_path):
    depth = np.linspace(1, 7, 48 * 64).reshape(48, 64)
    depth[0, :10] = 1e10
    write_exr(tmp_path / "depth.exr", depth)
    assert bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.exr")) == {"FINISHED"}
    found = sam3d("depth_files").known_depth(photo)
    assert found.shape == (48, 64) and np.isnan(found[0, :10]).all()
    np.testing.assert_allclose(found[1:], depth[1:], rtol=2e-3)  # half precision
    assert "depth" not in bpy.data.images


def test_objects_stand_at_the_depth_that_is_given_until_it_is_removed(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    assert distance() == pytest.approx(7.0, abs=1e-4)
    assert bpy.ops.sam3d.clear_depth() == {"FINISHED"}
    assert distance() == pytest.approx(DEPTH, abs=1e-4)


def test_the_lens_that_is_given_is_the_cameras(photo):
    photo.sam3d.lens = 72
    distance()
    camera = bpy.context.scene.camera.data
    assert camera.lens == pytest.approx(72, rel=1e-5) and camera.sensor_width == 36


@pytest.mark.parametrize(
    "name, words",
    [("missing.exr", "no file"), ("broken.npy", "cannot be read"), ("broken.exr", "no single picture"),
     ("depth.png", "choose an .exr or a .npy"), ("high.npy", "this very picture")],
)  # fmt: skip
def test_a_file_that_is_no_depth_of_the_photo_is_refused_and_the_last_one_stays(photo, tmp_path, name, words):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    np.save(tmp_path / "high.npy", np.ones((WIDTH, HEIGHT)))
    for broken in ("broken.npy", "broken.exr", "depth.png"):
        (tmp_path / broken).write_bytes(b"nothing of the kind")
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.sam3d.set_depth(filepath=str(tmp_path / name))
    assert photo.sam3d.depth_file == str(tmp_path / "depth.npy")


def test_a_depth_file_that_is_gone_by_then_is_named(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    (tmp_path / "depth.npy").unlink()
    with pytest.raises(RuntimeError, match=r"depth\.npy.*cannot be read"):
        bpy.ops.sam3d.reconstruct()
