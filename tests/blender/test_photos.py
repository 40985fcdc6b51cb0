"""Photos of every make come into Blender upright, and the worker sees the same picture."""

import struct

import bpy
import numpy as np
import pytest

from tools import pictures

TIFF = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
"""An EXIF block that says: turn me a quarter to the right."""


@pytest.fixture
def turned_png(tmp_path):
    """48 × 32 pixels, red at the top left as stored, which is the top right when upright."""
    path = tmp_path / "turned.png"
    colors = np.zeros((32, 48, 3), np.float32)
    colors[:4, :4, 0] = 1
    pictures.write(path, colors)
    data = path.read_bytes()
    chunk = struct.pack(">I", len(TIFF)) + b"eXIf" + TIFF
    after_header = 8 + 25
    import zlib

    checksum = struct.pack(">I", zlib.crc32(b"eXIf" + TIFF))
    path.write_bytes(data[:after_header] + chunk + checksum + data[after_header:])
    return path


def test_a_turned_photo_is_shown_upright(sam3d, turned_png):
    bpy.ops.sam3d.load_photo(filepath=str(turned_png))
    photo = bpy.context.scene.sam3d.photo
    assert tuple(photo.size) == (32, 48)
    colors = sam3d("scene.photo").rgb(photo)
    assert colors[1, -2, 0] == 255
    assert colors[1, 1, 0] == 0


def open_in_blender_and_load(path):
    bpy.data.images.load(str(path))
    bpy.ops.sam3d.load_photo(filepath=str(path))


def choose_in_the_panel(path):
    bpy.context.scene.sam3d.photo = bpy.data.images.load(str(path))


def load_after_a_reload(path):
    bpy.ops.sam3d.load_photo(filepath=str(path))
    bpy.context.scene.sam3d.photo.reload()
    bpy.ops.sam3d.load_photo(filepath=str(path))


@pytest.mark.parametrize("come", [open_in_blender_and_load, choose_in_the_panel, load_after_a_reload])
def test_a_turned_photo_is_upright_whichever_way_it_comes(sam3d, turned_png, come):
    come(turned_png)
    [photo] = bpy.data.images
    assert photo == bpy.context.scene.sam3d.photo and tuple(photo.size) == (32, 48)


def test_an_image_that_was_painted_on_is_not_turned(sam3d, turned_png):
    image = bpy.data.images.load(str(turned_png))
    image.pixels[0] = 1.0
    bpy.context.scene.sam3d.photo = image
    assert tuple(image.size) == (48, 32)
    assert sam3d("scene.photo").content(image).shape == (32, 48, 3)


def test_the_worker_sees_a_photo_sideways_where_blender_does(sam3d, turned_png):
    """As one that another version of the add-on took for a photo."""
    image = bpy.data.images.load(str(turned_png))
    image.sam3d.file_digest = sam3d("scene.photo")._digest(turned_png)
    bpy.context.scene.sam3d.photo = image
    assert sam3d("scene.photo").content(image).shape == (32, 48, 3)


def test_a_turned_photo_stays_upright_in_the_saved_file(sam3d, turned_png, tmp_path):
    bpy.ops.sam3d.load_photo(filepath=str(turned_png))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert tuple(bpy.context.scene.sam3d.photo.size) == (32, 48)


def test_the_worker_reads_the_file_of_a_photo_and_the_pixels_of_a_painting(sam3d, photo_file):
    photos = sam3d("scene.photo")
    photo = photos.load(photo_file)
    assert photos.content(photo) == photo_file
    photo.pixels[0] = 1.0
    assert photos.content(photo).shape == (96, 128, 3)
    painting = bpy.data.images.new("Painting", 40, 30)
    assert photos.content(painting).shape == (30, 40, 3)


@pytest.fixture
def exr_photo(sam3d, tmp_path):
    image = bpy.data.images.new("render", 40, 30, float_buffer=True)
    image.pixels.foreach_set(np.full(40 * 30 * 4, 0.2, np.float32))
    image.filepath_raw, image.file_format = str(tmp_path / "render.exr"), "OPEN_EXR"
    image.save()
    bpy.data.images.remove(image)
    bpy.ops.sam3d.load_photo(filepath=str(tmp_path / "render.exr"))
    return bpy.context.scene.sam3d.photo


def test_a_photo_that_no_file_shows_is_converted_once_until_it_is_painted_on(sam3d, exr_photo):
    photos = sam3d("scene.photo")
    once = photos.content(exr_photo)
    assert once is photos.content(exr_photo) and once[-1, 0, 0] < 255
    exr_photo.pixels[0] = 1.0
    painted = photos.content(exr_photo)
    assert painted is not once and painted[-1, 0, 0] == 255
    exr_photo.pack()
    assert not exr_photo.is_dirty and photos.content(exr_photo)[-1, 0, 0] == 255


def test_a_small_picture_of_a_photo_is_converted_small(sam3d, exr_photo, monkeypatch):
    photos = sam3d("scene.photo")
    convert, sizes = photos.srgb_from_linear, []
    monkeypatch.setattr(
        photos, "srgb_from_linear", lambda values: sizes.append(values.shape) or convert(values)
    )
    small = photos.display_colors(exr_photo, 3)
    np.testing.assert_array_equal(small, photos.display_colors(exr_photo)[::3, ::3])
    assert sizes[0] == small.shape == (10, 14, 3)


def test_an_image_of_the_file_serves_as_a_photo(sam3d):
    painting = bpy.data.images.new("Painting", 40, 30)
    painting.pixels.foreach_set(np.full(40 * 30 * 4, 0.5, np.float32))
    painting.update()
    bpy.context.scene.sam3d.photo = painting
    assert bpy.ops.sam3d.add_click(x=20, y=15) == {"FINISHED"}
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}


def test_a_photo_with_objects_is_saved_also_when_another_is_worked_on(sam3d, photo_file, mask_file, tmp_path):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    mask = bpy.context.scene.sam3d.photo.sam3d.active.mask
    bpy.ops.sam3d.load_photo(filepath=str(mask_file))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    assert bpy.context.scene.sam3d.photo.sam3d.active.mask == mask


def test_a_painted_image_serves_as_a_mask(sam3d, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    painting = bpy.data.images.new("Lamp", 128, 96)
    values = np.zeros((96, 128, 4), np.float32)
    values[10:30, 40:60] = 1
    values[..., 3] = 1
    painting.pixels.foreach_set(values[::-1].ravel())
    painting.update()
    assert bpy.ops.sam3d.add_mask(image="Lamp") == {"FINISHED"}
    prompt = bpy.context.scene.sam3d.photo.sam3d.prompts["Lamp"]
    np.testing.assert_array_equal(sam3d("core.masks").unpack(prompt.mask), values[..., 0] > 0)


def test_clicks_on_an_object_with_a_given_mask_are_refused(sam3d, photo_file, mask_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_mask(filepath=str(mask_file))
    with pytest.raises(RuntimeError, match="mask of its own"):
        bpy.ops.sam3d.add_click(x=3, y=4)


def test_removing_clicks_takes_the_mask_along(sam3d, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.add_click(x=60, y=40)
    prompt = bpy.context.scene.sam3d.photo.sam3d.active
    both = sam3d("core.masks").unpack(prompt.mask).sum()
    bpy.ops.sam3d.remove_click()
    assert sam3d("core.masks").unpack(prompt.mask).sum() < both
    bpy.ops.sam3d.remove_click()
    assert prompt.mask == ""
    with pytest.raises(RuntimeError, match="0 clicks"):
        bpy.ops.sam3d.remove_click()


def test_a_click_beside_the_object_takes_it_out_of_the_mask(sam3d, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.add_click(x=40, y=40, positive=False)
    mask = sam3d("core.masks").unpack(bpy.context.scene.sam3d.photo.sam3d.active.mask)
    assert mask[40, 20]
    assert not mask[40, 38]


def test_the_path_of_a_photo_is_relative_to_a_file_that_is_saved(sam3d, photo_file, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    photo_file.rename(project / "desk.png")
    bpy.ops.sam3d.load_photo(filepath=str(project / "desk.png"))
    bpy.ops.sam3d.add_click(x=30, y=40)
    assert bpy.context.scene.sam3d.photo.filepath == "//desk.png"
    bpy.ops.wm.save_mainfile()
    project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "scene.blend"))
    photo = bpy.context.scene.sam3d.photo
    assert not sam3d("scene.photo").trouble(photo) and photo.sam3d.prompts[0].is_current
    again = sam3d("actions").load_photo(tmp_path / "moved" / "desk.png")
    assert again == photo


def test_an_editor_that_is_for_something_else_keeps_its_image(sam3d, photo_file):
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    space, other = area.spaces.active, bpy.data.images.new("Other", 8, 8)
    for mode, pin, shown in (("VIEW", True, other), ("PAINT", False, other), ("VIEW", False, None)):
        space.mode, space.use_image_pin, space.image = mode, pin, other
        photo = sam3d("actions").load_photo(photo_file)
        assert space.image == (shown or photo)
