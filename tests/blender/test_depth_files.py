"""Depth of the photo from files: read as they are meant, followed, and refused in words."""

import bpy
import numpy as np
import pytest
from box_worker import DEPTH

from tools import pictures

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
    assert found.shape == (48, 64) and (found[0, :10] > 65000).all()
    np.testing.assert_allclose(found[1:], depth[1:], rtol=2e-3)  # half precision
    assert "depth" not in bpy.data.images


def test_objects_stand_at_the_depth_that_is_given_until_it_is_removed(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    assert distance() == pytest.approx(7.0, abs=1e-4)
    assert bpy.ops.sam3d.clear_depth() == {"FINISHED"}
    assert distance() == pytest.approx(DEPTH, abs=1e-4)


def test_a_depth_file_is_found_wherever_the_photo_and_the_scene_have_gone(
    sam3d, photo_file, mask_file, tmp_path
):
    project = tmp_path / "project"
    (project / "scans").mkdir(parents=True)
    np.save(project / "scans" / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    (project / "desk.png").write_bytes(photo_file.read_bytes())
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    bpy.ops.sam3d.load_photo(filepath=str(project / "desk.png"))
    bpy.ops.sam3d.add_mask(filepath=str(mask_file))
    bpy.ops.sam3d.set_depth(filepath=str(project / "scans" / "depth.npy"))
    assert bpy.context.scene.sam3d.photo.sam3d.depth_file == "scans/depth.npy"
    (project / "later").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "later" / "scene.blend"))
    project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "later" / "scene.blend"))
    assert distance() == pytest.approx(7.0, abs=1e-4)


def test_a_depth_file_of_a_file_without_relative_paths_is_kept_whole(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    bpy.context.preferences.filepaths.use_relative_paths = False
    try:
        bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    finally:
        bpy.context.preferences.filepaths.use_relative_paths = True
    assert photo.sam3d.depth_file == str(tmp_path / "depth.npy")
    assert distance() == pytest.approx(7.0, abs=1e-4)


@pytest.mark.parametrize("size", [(96, 128), (128, 96)])
def test_the_lens_that_is_given_is_the_cameras(sam3d, tmp_path, size):
    pictures.write(tmp_path / "photo.png", np.full((*size, 3), 0.5, np.float32))
    bpy.ops.sam3d.load_photo(filepath=str(tmp_path / "photo.png"))
    bpy.ops.sam3d.add_object(name="lamp")
    bpy.ops.sam3d.add_click(x=50, y=50)
    settings = bpy.context.scene.sam3d.photo.sam3d
    settings.lens = 72
    distance()
    camera = bpy.context.scene.camera
    assert camera.data.lens == pytest.approx(72, rel=1e-5) and camera.data.sensor_width == 36
    camera.location.x += 1  # the artist's place for it; its lens is still the photo's
    settings.lens = 50
    distance()
    assert camera.data.lens == pytest.approx(50, rel=1e-5) and camera.location.x == 1
    camera.data.lens = 60  # now that is the artist's too
    settings.lens = 72
    distance()
    assert camera.data.lens == 60


def test_the_camera_sees_as_far_as_the_depth(photo, tmp_path):
    np.save(tmp_path / "millimetres.npy", np.full((HEIGHT, WIDTH), 2500, np.uint16))
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "millimetres.npy"))
    assert distance() == pytest.approx(2500, rel=1e-4)
    data = bpy.context.scene.camera.data
    assert data.clip_end > 5000 and 100 < data.display_size < 2000


def test_what_a_depth_file_holds_now_counts_also_while_blender_shows_it(sam3d, photo, tmp_path):
    for value in (3.0, 6.0):
        write_exr(tmp_path / "depth.exr", np.full((HEIGHT, WIDTH), value))
        shown = bpy.data.images.load(str(tmp_path / "depth.exr"), check_existing=True)
        shown.colorspace_settings.name = "sRGB"
        bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.exr"))
        np.testing.assert_allclose(sam3d("depth_files").known_depth(photo), value)
        assert shown.name in bpy.data.images


@pytest.mark.parametrize(
    "name, words",
    [
        ("missing.exr", "no file"),
        ("broken.npy", "cannot be read"),
        ("empty.npy", "cannot be read"),
        ("several.npy", "several arrays"),
        ("broken.exr", "not an .exr of one layer"),
        ("depth.png", "choose an .exr or a .npy"),
        ("high.npy", "this very picture"),
    ],
)
def test_a_file_that_is_no_depth_of_the_photo_is_refused_and_the_last_one_stays(photo, tmp_path, name, words):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    np.save(tmp_path / "high.npy", np.ones((WIDTH, HEIGHT)))
    for broken in ("broken.npy", "broken.exr", "depth.png"):
        (tmp_path / broken).write_bytes(b"nothing of the kind")
    (tmp_path / "empty.npy").touch()
    np.savez(tmp_path / "several.npz", np.ones((HEIGHT, WIDTH)))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.sam3d.set_depth(filepath=str(tmp_path / name))
    assert photo.sam3d.depth_file == "depth.npy"


def test_a_depth_file_that_is_gone_by_then_is_named(photo, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((HEIGHT, WIDTH), 7.0))
    bpy.ops.sam3d.set_depth(filepath=str(tmp_path / "depth.npy"))
    (tmp_path / "depth.npy").unlink()
    with pytest.raises(RuntimeError, match="choose the depth file again"):
        bpy.ops.sam3d.reconstruct()
