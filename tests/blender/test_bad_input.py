"""What cannot be used is refused in one sentence, by the operator's report, and nothing is lost."""

import bpy
import numpy as np
import pytest

from tools import pictures


def refusal(operator, **arguments) -> str:
    """The sentence of an operator that reports an error; a script sees it as RuntimeError."""
    with pytest.raises(RuntimeError) as caught:
        operator(**arguments)
    return str(caught.value).removeprefix("Error: ").strip()


@pytest.fixture
def photo(sam3d, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    return bpy.context.scene.sam3d.photo


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
