"""What cannot be used is refused in one sentence, by the operator's report, and nothing is lost."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from tools import pictures


def refusal(operator, **arguments) -> str:
    """The sentence of an operator that reports an error; a script sees it as RuntimeError."""
    with pytest.raises(RuntimeError) as caught:
        operator(**arguments)
    return str(caught.value).removeprefix("Error: ").strip()


def test_a_file_that_is_not_there(photo, tmp_path):
    assert "no.png" in refusal(bpy.ops.sam3d.load_photo, filepath=str(tmp_path / "no.png"))
    assert bpy.context.scene.sam3d.photo == photo


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_a_file_that_is_no_image(photo, tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    images = len(bpy.data.images)
    assert "bad.png" in refusal(bpy.ops.sam3d.load_photo, filepath=str(path))
    assert bpy.context.scene.sam3d.photo == photo
    assert len(bpy.data.images) == images


def test_a_photo_of_one_pixel(photo, tmp_path):
    pictures.write(tmp_path / "dot.png", np.ones((1, 1, 3), np.float32))
    assert "1 × 1" in refusal(bpy.ops.sam3d.load_photo, filepath=str(tmp_path / "dot.png"))


def test_a_click_outside_the_photo(photo):
    assert "128 × 96" in refusal(bpy.ops.sam3d.add_click, x=200, y=10)
    assert not photo.sam3d.prompts


def test_a_mask_of_another_size(photo, tmp_path):
    mask = np.zeros((10, 10, 3), np.float32)
    mask[2:8, 2:8] = 1
    pictures.write(tmp_path / "small.png", mask)
    assert "10 × 10" in refusal(bpy.ops.sam3d.add_mask, filepath=str(tmp_path / "small.png"))
    assert not photo.sam3d.prompts


def test_a_photo_in_place_of_a_mask(photo, photo_file):
    assert "100% of “a photo.png” is grey" in refusal(bpy.ops.sam3d.add_mask, filepath=str(photo_file))
    assert not photo.sam3d.prompts


def test_clicks_that_all_exclude(photo):
    bpy.ops.sam3d.add_object(name="cup")
    assert bpy.ops.sam3d.add_click(x=30, y=40, positive=False) == {"FINISHED"}
    assert "All clicks exclude" in photo.sam3d.prompts["cup"].message
    assert "“cup” cannot be reconstructed. All clicks exclude" in refusal(bpy.ops.sam3d.reconstruct)
    bpy.ops.sam3d.add_click(x=70, y=40)
    assert photo.sam3d.prompts["cup"].message == ""


def test_a_box_or_a_stroke_outside_the_photo(photo):
    assert "128 × 96" in refusal(bpy.ops.sam3d.set_box, box=(200, 10, 300, 50))
    assert "128 × 96" in refusal(bpy.ops.sam3d.brush, stroke="-40,10", radius=5)
    assert "“7 8” is not a stroke" in refusal(bpy.ops.sam3d.brush, stroke="7 8", radius=5)
    assert not photo.sam3d.prompts


@pytest.fixture
def lost_photo(sam3d, photo, photo_file, tmp_path):
    """A photo with an object, in a file that was opened after the photo's own file had gone to "else"."""
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    (tmp_path / "else").mkdir()
    photo_file.rename(tmp_path / "else" / photo_file.name)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    return bpy.context.scene.sam3d.photo


def test_a_photo_whose_file_is_missing_until_it_is_found(sam3d, lost_photo, tmp_path):
    assert "Find Missing Files" in refusal(bpy.ops.sam3d.add_click, x=60, y=40)
    assert "Find Missing Files" in refusal(bpy.ops.sam3d.add_object)
    assert "Find Missing Files" in refusal(bpy.ops.sam3d.reconstruct)
    bpy.ops.file.find_missing_files(directory=str(tmp_path / "else"))
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}


def test_a_photo_whose_file_is_missing_until_it_is_back(sam3d, lost_photo, photo_file, tmp_path):
    assert not any(lost_photo.size)
    (tmp_path / "else" / photo_file.name).rename(photo_file)
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    assert bpy.context.scene.sam3d.photo == lost_photo
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}


def test_nothing_is_drawn_over_a_photo_whose_file_is_missing(sam3d, lost_photo, monkeypatch):
    editor = SimpleNamespace(image=lost_photo, overlay=SimpleNamespace(show_overlays=True))
    context = SimpleNamespace(scene=bpy.context.scene, space_data=editor)
    overlay = sam3d("ui.overlay")
    monkeypatch.setattr(overlay, "bpy", SimpleNamespace(context=context))
    overlay.draw()


def test_a_photo_that_has_changed_on_disk_since(photo, photo_file):
    bpy.ops.sam3d.add_click(x=30, y=40)
    mask = photo.sam3d.active.mask
    pictures.write(photo_file, np.full((96, 128, 3), 0.8, np.float32))
    assert "changed on disk" in refusal(bpy.ops.sam3d.add_click, x=60, y=40)
    assert "changed on disk" in refusal(bpy.ops.sam3d.reconstruct)
    assert (len(photo.sam3d.active.clicks), photo.sam3d.active.mask) == (1, mask)
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    assert bpy.context.scene.sam3d.photo == photo
    assert photo.pixels[0] == pytest.approx(0.8, abs=0.01)
    assert not photo.sam3d.active.is_current, "the same clicks are asked anew"
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}


@pytest.mark.parametrize("is_shown", [False, True])
def test_a_photo_that_has_another_size_now(photo, photo_file, is_shown):
    bpy.ops.sam3d.add_click(x=30, y=40)
    pictures.write(photo_file, np.full((50, 60, 3), 0.8, np.float32))
    if is_shown:
        photo.reload()
    assert "changed on disk" in refusal(bpy.ops.sam3d.brush, stroke="20,20")
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    now = bpy.context.scene.sam3d.photo
    assert now != photo and tuple(now.size) == (60, 50) and not now.sam3d.prompts
    assert len(photo.sam3d.prompts) == 1
    assert bpy.ops.sam3d.add_click(x=30, y=40) == {"FINISHED"}


def test_an_empty_mask(photo, tmp_path):
    pictures.write(tmp_path / "empty.png", np.zeros((96, 128, 3), np.float32))
    assert "empty.png" in refusal(bpy.ops.sam3d.add_mask, filepath=str(tmp_path / "empty.png"))


def test_reconstructing_before_anything_is_marked(photo):
    assert "click" in refusal(bpy.ops.sam3d.reconstruct)


def test_a_path_with_spaces_and_letters_of_other_scripts(sam3d, photo_file, tmp_path):
    path = tmp_path / "Ünï côdé 写真" / "mein foto.png"
    path.parent.mkdir()
    path.write_bytes(photo_file.read_bytes())
    assert bpy.ops.sam3d.load_photo(filepath=str(path)) == {"FINISHED"}
    assert bpy.ops.sam3d.add_click(x=30, y=40) == {"FINISHED"}
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert any(obj.type == "MESH" for obj in bpy.context.scene.objects)


def test_a_worker_without_a_python(sam3d, photo, monkeypatch):
    monkeypatch.setenv("SAM3D_PYTHON", "/nowhere/python")
    assert "python" in refusal(bpy.ops.sam3d.add_click, x=30, y=40).lower()
    assert not photo.sam3d.prompts
