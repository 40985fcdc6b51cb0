"""Masks read from folders, index images and paintings, and saved so that they are read again."""

import bpy
import numpy as np
import pytest

from tools import pictures


def mask(left: int) -> np.ndarray:
    pixels = np.zeros((96, 128), bool)
    pixels[20:60, left : left + 15] = True
    return pixels


def write(path, *masks: np.ndarray) -> None:
    """An image in which the masks have one grey value each, white if there is but one."""
    values = sum(each * np.float32((number + 1) / len(masks)) for number, each in enumerate(masks))
    pictures.write(path, np.repeat(values[..., None], 3, axis=-1))


def wholes(photo) -> dict[str, np.ndarray]:
    shapes = photo.sam3d.shapes()
    return {prompt.name: shapes[prompt.uuid].whole for prompt in photo.sam3d.prompts}


def test_a_folder_of_masks_is_added_in_the_order_of_its_numbers(photo, photo_file, tmp_path):
    for number in (10, 2, 1):
        write(tmp_path / f"{number}.png", mask(number))
    (tmp_path / "notes.txt").write_text("not an image")
    assert photo_file.parent == tmp_path
    assert bpy.ops.sam3d.add_masks(directory=str(tmp_path)) == {"FINISHED"}
    assert [prompt.name for prompt in photo.sam3d.prompts] == ["1", "2", "10"]
    np.testing.assert_array_equal(wholes(photo)["10"], mask(10))


@pytest.mark.parametrize("folder", [".", "scenes/.."])
def test_the_photo_among_its_masks_is_known_by_another_path_too(photo, photo_file, tmp_path, folder):
    write(tmp_path / "1.png", mask(10))
    (tmp_path / "scenes").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scenes" / "scene.blend"))
    photo.filepath = f"//../{photo_file.name}"
    assert bpy.ops.sam3d.add_masks(directory=f"{tmp_path}/{folder}") == {"FINISHED"}
    assert [prompt.name for prompt in photo.sam3d.prompts] == ["1"]


def test_one_bad_mask_in_a_folder_leaves_everything_as_it_was(photo, tmp_path):
    write(tmp_path / "1.png", mask(10))
    pictures.write(tmp_path / "2.png", np.ones((10, 10, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"2\.png.*10 × 10"):
        bpy.ops.sam3d.add_masks(directory=str(tmp_path))
    assert not photo.sam3d.prompts


@pytest.mark.parametrize("folder, words", [("empty", "no image files"), ("missing", "no folder")])
def test_a_folder_without_masks_is_refused(photo, tmp_path, folder, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.sam3d.add_masks(directory=str(tmp_path / folder))


def test_an_index_image_gives_an_object_for_each_value(photo, tmp_path):
    write(tmp_path / "rooms.png", mask(10), mask(40), mask(70))
    assert bpy.ops.sam3d.add_index_masks(filepath=str(tmp_path / "rooms.png")) == {"FINISHED"}
    assert list(wholes(photo)) == ["rooms 1", "rooms 2", "rooms 3"]
    np.testing.assert_array_equal(wholes(photo)["rooms 2"], mask(40))


def test_saved_masks_are_read_again(sam3d, photo, tmp_path):
    names = ["mug", "Mug", "a/b: 1?", "写真", "Aux", "nul.2", "console"]
    for number, name in enumerate(names):
        bpy.ops.sam3d.add_object(name=name)
        bpy.ops.sam3d.set_box(box=(4 + 16 * number, 10, 20 + 16 * number, 60))
    shown = {prompt.name: photo.sam3d.shapes()[prompt.uuid].mask for prompt in photo.sam3d.prompts}
    folder = tmp_path / "masks" / "of desk"
    assert bpy.ops.sam3d.save_masks(directory=str(folder)) == {"FINISHED"}
    wanted = {"mug", "Mug 2", "a_b_ 1_", "写真", "Aux_", "nul_.2", "console"}
    assert {path.stem for path in folder.iterdir()} == wanted
    photo.sam3d.prompts.clear()
    bpy.ops.sam3d.add_masks(directory=str(folder))
    read = wholes(photo)
    np.testing.assert_array_equal(read["mug"], shown["mug"])
    np.testing.assert_array_equal(read["写真"], shown["写真"])
    np.testing.assert_array_equal(read["a_b_ 1_"], shown["a/b: 1?"])


def test_saved_masks_replace_nothing_unless_they_may_and_never_the_photo(photo, photo_file, tmp_path):
    bpy.ops.sam3d.add_object(name="mug")
    bpy.ops.sam3d.set_box(box=(10, 10, 40, 60))
    notes = tmp_path / "mug.png"
    notes.write_text("mine")
    with pytest.raises(RuntimeError, match=r"mug\.png.*would be replaced"):
        bpy.ops.sam3d.save_masks(directory=str(tmp_path))
    assert notes.read_text() == "mine"
    bpy.ops.sam3d.save_masks(directory=str(tmp_path), overwrite=True)
    assert notes.read_bytes().startswith(b"\x89PNG")
    photo.sam3d.prompts[0].name = photo_file.stem
    before = photo_file.read_bytes()
    with pytest.raises(RuntimeError, match="would replace the photo"):
        bpy.ops.sam3d.save_masks(directory=str(photo_file.parent), overwrite=True)
    assert photo_file.read_bytes() == before


def test_nothing_to_save_is_said(photo, tmp_path):
    with pytest.raises(RuntimeError, match="No object has a mask to save"):
        bpy.ops.sam3d.save_masks(directory=str(tmp_path))


def test_a_transparent_ground_and_a_painting_are_masks(photo):
    painting = bpy.data.images.new("Lamp", 128, 96, alpha=True)
    values = np.zeros((96, 128, 4), np.float32)
    values[mask(30)] = (0.1, 0.2, 0.1, 1)
    painting.pixels.foreach_set(values[::-1].ravel())
    bpy.ops.sam3d.add_mask(image="Lamp")
    np.testing.assert_array_equal(wholes(photo)["Lamp"], mask(30))
