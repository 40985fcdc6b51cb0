"""The zip as Blender sees it: it installs, registers, and leaves nothing behind."""

import time

import bpy
import pytest

from tools import extension

OPERATORS = ("load_photo", "add_click", "add_mask", "reconstruct", "cancel")


def test_the_installed_zip_runs_and_not_the_checkout(installed):
    resources = bpy.utils.user_resource("EXTENSIONS")
    assert installed.__file__.startswith(resources)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_is_there(sam3d, name):
    assert getattr(bpy.ops.sam3d, name).get_rna_type().name


def test_disabling_removes_everything_and_enabling_brings_it_back(sam3d):
    timer = sam3d("session")._tick
    for _ in range(2):
        extension.disable()
        assert not hasattr(bpy.types.Scene, "sam3d")
        assert not hasattr(bpy.types, "SAM3D_OT_reconstruct")
        assert not bpy.app.timers.is_registered(timer)
        bpy.ops.preferences.addon_enable(module=extension.MODULE)
        assert bpy.context.scene.sam3d.photo is None


def test_disabling_ends_what_is_under_way(sam3d):
    from bl_ui.space_statusbar import STATUSBAR_HT_header

    pointer, operators = sam3d("ui.pointer"), sam3d("ui.operators")
    installation, window = sam3d("installation"), bpy.context.window_manager.windows[0]
    usual_status = STATUSBAR_HT_header.draw
    pointer.pointer = pointer.Pointer()
    window.workspace.status_text_set(sam3d("ui.click_tool")._draw_hints)
    operators._timers.append(bpy.context.window_manager.event_timer_add(0.1, window=window))

    task = installation.task = sam3d("worker.task").Task(_until_cancelled)
    extension.disable()
    try:
        assert STATUSBAR_HT_header.draw is usual_status and pointer.pointer is None
        assert not operators._timers
        deadline = time.monotonic() + 10
        while not task.is_over and time.monotonic() < deadline:
            time.sleep(0.01)
        assert str(task.state) == "cancelled"
    finally:
        task.cancel()
        bpy.ops.preferences.addon_enable(module=extension.MODULE)


def test_no_worker_starts_while_its_python_is_replaced(sam3d, monkeypatch):
    installation, session = sam3d("installation"), sam3d("session")
    environment = sam3d("worker.environment")
    session.client()
    private, own = environment.python_in(environment.default_folder()), session.python()
    monkeypatch.setattr(environment, "install", lambda online: sam3d("worker.task").Task(_until_cancelled))
    task = installation.install_environment()
    try:
        assert session._client is None
        assert session.needed_python() == own
        for python in (private, None):
            monkeypatch.setattr(session, "python", lambda found=python: found)
            with pytest.raises(sam3d("core.errors").ArtistError, match="is being installed"):
                session.needed_python()
    finally:
        task.cancel()
        task.wait()
    monkeypatch.setattr(session, "python", lambda: private)
    assert session.needed_python() == private


def test_masks_on_their_way_are_asked_for_anew_when_an_installation_is_over(sam3d, monkeypatch):
    asked = []
    monkeypatch.setattr(sam3d("marking"), "resume", lambda: asked.append(True))
    environment = sam3d("worker.environment")
    monkeypatch.setattr(environment, "install", lambda online: sam3d("worker.task").Task(lambda task: None))
    task = sam3d("installation").install_environment()
    assert not asked
    sam3d("session").wait(task)
    assert asked == [True]


def _until_cancelled(task):
    while True:
        time.sleep(0.01)
        task.stop_if_cancelled()


def test_no_torch_in_blender(sam3d):
    import sys

    assert "torch" not in sys.modules
