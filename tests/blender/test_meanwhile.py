"""What an artist does while a job runs neither loses nor misplaces what it brings."""

import os
import signal
import time
from types import SimpleNamespace

import bpy
import pytest
from box_worker import DEPTH

WITHIN_SECONDS = 20


@pytest.fixture
def started(sam3d, photo):
    """The job of a reconstruction of one object that has been started."""
    bpy.ops.sam3d.add_click(x=30, y=40)
    return sam3d("actions").start_reconstruction().job


@pytest.fixture
def another_model(sam3d, tmp_path):
    """`another_model()`: choose one in the preferences."""
    preferences = sam3d("properties").preferences()

    def choose():
        preferences.model, preferences.checkpoint = "folder", str(tmp_path)

    yield choose
    for name in ("model", "checkpoint"):
        preferences.property_unset(name)


@pytest.fixture
def windowed(sam3d, monkeypatch):
    """`windowed("session")`: the module takes this Blender for one with a window."""

    def change(name: str) -> None:
        app = SimpleNamespace(background=False, timers=bpy.app.timers)
        monkeypatch.setattr(
            sam3d(name), "bpy", SimpleNamespace(app=app, context=bpy.context, data=bpy.data, path=bpy.path)
        )

    return change


def run_until(sam3d, happens) -> None:
    """Let the timer of a window tick until it happens."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not happens():
        assert time.monotonic() < deadline
        goes_on = sam3d("session")._tick() is not None
        assert goes_on or happens(), "the timer gives up too early"
        time.sleep(0.01)


def test_another_scene_in_the_window_moves_no_object(sam3d, started):
    scene = bpy.context.scene
    bpy.context.window.scene = bpy.data.scenes.new("Another")
    sam3d("session").wait(started)
    [made] = sam3d("actions").finish_reconstruction()
    assert made.name in scene.objects and scene.camera.matrix_world.to_euler().x > 1
    assert (made.location - scene.camera.location).y == pytest.approx(DEPTH, abs=1e-5)


def test_renamed_scene_and_photo_are_found_again(sam3d, photo, started):
    scene = bpy.context.scene
    scene.name, photo.name = "Desk", "desk.png"
    bpy.data.scenes.new("Scene")
    sam3d("session").wait(started)
    [made] = sam3d("actions").finish_reconstruction()
    assert made.name in scene.objects and made.sam3d.photo == photo


def test_a_photo_that_is_removed_meanwhile_is_said_to_be_gone(sam3d, photo, started):
    bpy.data.images.remove(photo)
    sam3d("session").wait(started)
    with pytest.raises(sam3d("core.errors").ArtistError, match="photo is gone"):
        sam3d("actions").finish_reconstruction()


def test_a_mask_and_proposals_reach_a_renamed_photo(sam3d, photo):
    marking, finding = sam3d("marking"), sam3d("finding")
    prompt = marking.add_click(30, 40, wait=False)
    job = finding.start_finding()
    photo.name = "desk.png"
    sam3d("session").wait(job)
    finding.finish_finding()
    assert prompt.is_current and len(photo.sam3d.prompts) == 5


def test_another_model_leaves_a_reconstruction_alone_until_it_is_over(sam3d, started, another_model):
    actions, session = sam3d("actions"), sam3d("session")
    session.wait(started)
    before = session.client()
    bpy.context.scene.sam3d.seed = 99
    job = actions.start_reconstruction().job
    another_model()
    sam3d("marking").add_click(60, 50, wait=False)
    assert not job.is_over and job.is_awaited and session.client() is before
    actions.cancel()
    session.wait(job)
    bpy.ops.sam3d.add_click(x=62, y=50)
    assert session.client() is not before


def test_no_reconstruction_by_a_model_that_is_no_longer_chosen(sam3d, photo, another_model):
    finding, actions = sam3d("finding"), sam3d("actions")
    bpy.ops.sam3d.add_click(x=30, y=40)
    job = finding.start_finding("for ever")
    another_model()
    with pytest.raises(sam3d("core.errors").ArtistError, match="chosen before"):
        actions.start_reconstruction()
    assert not actions.is_reconstructing()
    finding.cancel()
    sam3d("session").wait(job)
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}


def test_another_file_ends_what_the_former_had_begun(sam3d, photo, windowed):
    actions, finding, session = sam3d("actions"), sam3d("finding"), sam3d("session")
    windowed("session")
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.context.scene.sam3d.seed = 99
    job, search = actions.start_reconstruction().job, finding.start_finding()
    run_until(sam3d, lambda: job.stage)
    os.kill(session.client()._process._process.pid, signal.SIGSTOP)  # so that it does not answer at once
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not actions.is_reconstructing() and not finding.is_finding()
    assert bpy.app.timers.is_registered(session._tick), "the timer survives"
    run_until(sam3d, lambda: job.is_over)
    assert search.is_over and session._tick() is None


def test_a_mask_whose_job_was_given_up_is_asked_for_again(sam3d, photo):
    marking, session = sam3d("marking"), sam3d("session")
    prompt = marking.add_click(30, 40, wait=False)
    session.forget()
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert prompt.is_current


def test_in_a_window_reconstructing_asks_for_a_mask_that_is_missing(sam3d, photo):
    marking, actions = sam3d("marking"), sam3d("actions")
    prompt = marking.add_click(30, 40, wait=False)
    sam3d("session").stop()
    with pytest.raises(sam3d("core.errors").ArtistError, match="still being found; try again"):
        actions.start_reconstruction()
    run_until(sam3d, lambda: prompt.is_current)
    assert actions.start_reconstruction()


def test_opening_a_file_asks_for_masks_that_were_missing(sam3d, photo, windowed, tmp_path):
    sam3d("marking").add_click(30, 40, wait=False)
    sam3d("session").stop()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    windowed("marking")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    prompt = bpy.context.scene.sam3d.photo.sam3d.active
    run_until(sam3d, lambda: prompt.is_current)


def test_loading_a_changed_photo_again_asks_for_its_masks_anew(sam3d, photo, photo_file, windowed):
    bpy.ops.sam3d.add_click(x=30, y=40)
    photo_file.write_bytes(photo_file.read_bytes() + b" ")
    windowed("marking")
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    prompt = photo.sam3d.active
    assert not prompt.is_current
    run_until(sam3d, lambda: prompt.is_current)


def test_that_nothing_was_found_is_known_without_asking_again(sam3d, photo, monkeypatch):
    """As after undo: the worker of boxes finds something, which the test takes away."""
    marking = sam3d("marking")
    monkeypatch.setattr(marking, "_found", {})
    prompt = marking.add_click(30, 40)
    [known] = marking._found
    marking._found[known] = prompt.mask = prompt.mask_key = ""
    with pytest.raises(sam3d("core.errors").ArtistError, match="Nothing was found at the clicks"):
        sam3d("actions").start_reconstruction()


def test_why_a_mask_is_missing_is_said_until_the_clicks_change(sam3d, photo):
    marking, actions = sam3d("marking"), sam3d("actions")
    prompt = marking.add_click(30, 40, wait=False)
    marking.give_up(prompt.uuid)
    prompt.message = "The worker cannot be started."
    for _ in range(2):
        with pytest.raises(sam3d("core.errors").ArtistError, match="The worker cannot be started"):
            actions.start_reconstruction()
