"""The tool that marks objects, as far as it goes without a window: when it ends, what a drag is, strokes."""

from types import SimpleNamespace

import bpy
import pytest


@pytest.fixture
def tool(sam3d, photo):
    """A stand-in for the operator, which only a window can start, in an editor that shows the photo."""
    pointer, operator = sam3d("ui.pointer"), sam3d("ui.click_tool").SAM3D_OT_click
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    area.spaces.active.image = photo
    methods = {name: part for name, part in vars(operator).items() if name.startswith("_") and callable(part)}
    methods = {name: part for name, part in methods.items() if not name.startswith("__")}
    stand_in = type("Tool", (), methods)()
    stand_in._area, stand_in._drag = area, None
    stand_in._held = pointer.pointer = pointer.Pointer()
    yield stand_in
    pointer.pointer = None


@pytest.fixture
def context():
    manager = bpy.context.window_manager
    return SimpleNamespace(
        scene=bpy.context.scene,
        screen=manager.windows[0].screen,
        preferences=bpy.context.preferences,
        window_manager=manager,
    )


def test_it_lives_while_its_editor_shows_the_photo(tool, context, photo):
    assert tool._is_alive(context)
    tool._area.spaces.active.image = bpy.data.images.new("Another", 40, 30)
    assert not tool._is_alive(context)


def test_it_ends_when_the_photos_file_is_missing(tool, context, photo, photo_file):
    photo_file.unlink()
    photo.reload()
    assert not tool._is_alive(context)


@pytest.mark.parametrize("is_tablet", [False, True])
def test_a_tablet_has_its_own_measure_of_a_drag(sam3d, context, is_tablet):
    inputs, is_dragged = context.preferences.inputs, sam3d("ui.click_tool")._is_dragged
    assert inputs.drag_threshold_mouse < 6 < inputs.drag_threshold_tablet
    context.preferences = SimpleNamespace(inputs=inputs, system=SimpleNamespace(ui_scale=1.0))
    assert is_dragged(context, SimpleNamespace(is_tablet=is_tablet), (0, 0), (6, 0)) != is_tablet


def test_its_hints_leave_room_for_what_is_refused(sam3d, context):
    calls = []

    class Layout:
        def __getattr__(self, name):
            return lambda *_, **__: calls.append(name)

    sam3d("ui.click_tool")._draw_hints(SimpleNamespace(layout=Layout()), context)
    assert "label" in calls and "template_reports_banner" in calls


def test_esc_ends_the_marking_before_it_cancels_what_runs_beside(sam3d, tool, monkeypatch):
    cancelled, pointer = [], sam3d("ui.pointer")
    monkeypatch.setattr(sam3d("session"), "cancel", cancelled.append)
    runs = type("Runs", (), dict(vars(sam3d("ui.operators").RunsJob)))()
    runs._job, pointer.pointer.place = "job", (10, 10)
    esc = SimpleNamespace(type="ESC", value="PRESS")
    assert runs.modal(None, esc) == {"PASS_THROUGH"} and not cancelled
    pointer.pointer.place = None  # the mouse is elsewhere
    assert runs.modal(None, esc) == {"RUNNING_MODAL"} and cancelled == ["job"]


def begin_stroke(tool, context) -> None:
    tool._drag = SimpleNamespace(kind="BRUSH", points=[(40, 40)], begun=[])
    tool._begin_stroke(context, SimpleNamespace(scale=1.0, zoom=1.0))


def test_a_first_stroke_that_is_given_up_leaves_no_object(tool, context, photo):
    begin_stroke(tool, context)
    assert len(photo.sam3d.prompts) == 1
    tool._drop(context)
    assert not photo.sam3d.prompts and tool._held.stroke is None


def test_a_first_stroke_begins_an_object(tool, context, photo):
    begin_stroke(tool, context)
    tool._finish_drag(context)
    [prompt] = photo.sam3d.prompts
    assert photo.sam3d.shapes()[prompt.uuid].mask[40, 40]
