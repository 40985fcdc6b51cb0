"""Boxes, strokes and clicks through the operators, and what is reconstructed of overlapping masks."""

import bpy
import numpy as np
import pytest


@pytest.fixture
def mask_of(photo):
    """`mask_of("cup")`: (H, W) bool as it shows."""
    return lambda name: photo.sam3d.shapes()[photo.sam3d.prompts[name].uuid].mask


def test_a_box_alone_gives_a_mask(photo, mask_of):
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.set_box(box=(50, 60, 20, 30))
    expected = np.zeros((96, 128), bool)
    expected[30:60, 20:50] = True
    np.testing.assert_array_equal(mask_of("cup"), expected)
    bpy.ops.sam3d.remove_box()
    assert not photo.sam3d.prompts["cup"].is_marked


def test_strokes_stay_when_clicks_change(photo, mask_of):
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.brush(stroke="60,40 80,40", radius=5)
    bpy.ops.sam3d.brush(stroke="30,40", radius=3, erase=True)
    for x, expected in ((70, True), (30, False), (24, True)):
        assert mask_of("cup")[40, x] == expected
    bpy.ops.sam3d.add_click(x=30, y=70)
    assert mask_of("cup")[40, 70] and not mask_of("cup")[40, 30] and mask_of("cup")[70, 30]
    bpy.ops.sam3d.clear_brush()
    assert mask_of("cup")[40, 30] and not mask_of("cup")[40, 70]


def test_an_object_can_be_painted_alone_and_reconstructed(photo):
    bpy.ops.sam3d.brush(stroke="40,40", radius=12)
    [prompt] = photo.sam3d.prompts
    assert prompt.is_current
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert bpy.context.scene.objects[prompt.name].type == "MESH"


def test_a_given_mask_is_corrected_by_the_brush(photo, mask_file, mask_of):
    bpy.ops.sam3d.add_mask(filepath=str(mask_file))
    bpy.ops.sam3d.brush(stroke="95,50", radius=4, erase=True)
    assert not mask_of("lamp")[50, 95] and mask_of("lamp")[35, 85]
    assert photo.sam3d.prompts["lamp"].is_given


def test_a_click_does_not_depend_on_the_masks_of_other_objects(sam3d, photo, mask_of, monkeypatch):
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.add_click(x=30, y=40)
    cup = photo.sam3d.prompts["cup"]
    cup.mask_key = "of other clicks"  # as after an undo whose mask is still on its way
    segment = sam3d("marking")._segment

    def refused_for_the_cup(image, prompt):
        if prompt.name == "cup":
            raise sam3d("core.errors").ArtistError("not now")
        return segment(image, prompt)

    monkeypatch.setattr(sam3d("marking"), "_segment", refused_for_the_cup)
    bpy.ops.sam3d.add_object(name="lamp")
    bpy.ops.sam3d.add_click(x=80, y=40)
    assert len(photo.sam3d.prompts["lamp"].clicks) == 1 and mask_of("lamp")[40, 80]


def test_objects_of_one_name_are_numbered_by_it(photo):
    made = [bpy.ops.sam3d.add_object(name="mug") and photo.sam3d.active.name for _ in range(3)]
    assert made == ["mug", "mug 2", "mug 3"]
    bpy.ops.sam3d.add_object()
    assert photo.sam3d.active.name == "Object 4"
    with pytest.raises(RuntimeError, match="no object “jug”; add one first"):
        bpy.ops.sam3d.remove_object(object="jug")
    for _ in range(4):
        bpy.ops.sam3d.remove_object()
    with pytest.raises(RuntimeError, match="No object is chosen; add one first"):
        bpy.ops.sam3d.remove_object()


def test_operators_and_functions_do_the_same(sam3d, photo, mask_of):
    marking = sam3d("marking")
    bpy.ops.sam3d.add_object(name="by operator")
    bpy.ops.sam3d.set_box(box=(10, 10, 60, 60))
    bpy.ops.sam3d.add_click(x=30, y=30, positive=False)
    bpy.ops.sam3d.brush(stroke="70,70", radius=6)
    bpy.ops.sam3d.add_object(name="by function")
    marking.set_box((10, 10, 60, 60))
    marking.add_click(30, 30, positive=False)
    marking.brush_mask([(70, 70)], 6)
    photo.sam3d.smaller_wins = False
    np.testing.assert_array_equal(mask_of("by operator"), mask_of("by function"))


def test_the_smaller_of_two_overlapping_objects_is_reconstructed_whole(sam3d, photo, mask_of):
    bpy.ops.sam3d.add_object(name="table")
    bpy.ops.sam3d.set_box(box=(10, 10, 110, 80))
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.set_box(box=(10, 10, 40, 80))
    assert not mask_of("table")[:, :40].any()
    bpy.ops.sam3d.reconstruct()
    narrow = bpy.context.scene.objects["table"].location.x
    photo.sam3d.smaller_wins = False
    bpy.ops.sam3d.reconstruct()
    wide = bpy.context.scene.objects["table"].location.x
    assert narrow > wide, "without the cup's pixels the table's middle is further to the right"


def test_an_object_hidden_by_another_is_refused_in_words(photo):
    for name in ("cup", "mug"):
        bpy.ops.sam3d.add_object(name=name)
        bpy.ops.sam3d.add_click(x=40, y=40)
    with pytest.raises(RuntimeError, match=r"“cup” cannot be reconstructed\. Smaller objects take all but"):
        bpy.ops.sam3d.reconstruct()


def test_taking_a_click_back_shows_the_former_mask_without_asking(sam3d, photo, monkeypatch):
    bpy.ops.sam3d.add_click(x=30, y=40)
    before = photo.sam3d.active.mask
    bpy.ops.sam3d.add_click(x=60, y=40)
    monkeypatch.setattr(sam3d("session").client(), "segment", None)
    bpy.ops.sam3d.remove_click(index=1)
    assert photo.sam3d.active.mask == before


def test_the_first_click_can_be_taken_back_alone(photo, mask_of):
    bpy.ops.sam3d.add_object(name="cup")
    for x in (30, 60, 90):
        bpy.ops.sam3d.add_click(x=x, y=40)
    bpy.ops.sam3d.remove_click(index=0)
    assert [click.x for click in photo.sam3d.active.clicks] == [60, 90]
    assert not mask_of("cup")[40, 30] and mask_of("cup")[40, 60]


def test_of_objects_of_one_name_the_active_one_is_removed(photo):
    for x in (30, 60):
        bpy.ops.sam3d.add_object()
        bpy.ops.sam3d.add_click(x=x, y=40)
        photo.sam3d.active.name = "cup"
    with pytest.raises(RuntimeError, match="2 objects of the photo are called “cup”; rename"):
        bpy.ops.sam3d.remove_object(object="cup")
    assert bpy.ops.sam3d.remove_object() == {"FINISHED"}
    assert [prompt.clicks[0].x for prompt in photo.sam3d.prompts] == [30]
    assert bpy.ops.sam3d.remove_object(object="cup") == {"FINISHED"}


def test_the_list_shows_each_object_cut_out(sam3d, photo, mask_of):
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.set_box(box=(20, 30, 50, 50))
    colors = sam3d("scene.photo").display_colors(photo)
    icon = sam3d("ui.thumbnails").cutout(colors, mask_of("cup"), 24)
    assert icon.shape == (24, 24, 4)
    np.testing.assert_allclose(icon[12, 12], (0.5, 0.5, 0.5, 1), atol=0.01)
    assert icon[2, 12, 3] == 0 and icon[12, 0, 3] == 0 and icon[12, 3, 3] == 1


def test_marks_survive_saving_and_loading(photo, tmp_path):
    bpy.ops.sam3d.set_box(box=(20, 30, 50, 50))
    bpy.ops.sam3d.brush(stroke="70,70", radius=6)
    shown = next(iter(photo.sam3d.shapes().values())).mask.copy()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    again = next(iter(bpy.context.scene.sam3d.photo.sam3d.shapes().values())).mask
    np.testing.assert_array_equal(again, shown)
