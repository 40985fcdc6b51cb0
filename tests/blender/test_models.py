"""The choice of the model: what the preferences offer, and how getting one ends."""

import functools
import os
import time

import bpy
import pytest
from box_worker import __file__ as box_worker_file
from test_bad_input import refusal
from test_panels import Paper


@pytest.fixture
def models(sam3d, monkeypatch, tmp_path):
    """As `sam3d`, with a data folder of the test's own, online access, and the preferences put back after."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    releases, preferences = sam3d("worker.releases"), sam3d("properties").preferences()
    client = functools.partial(releases.WorkerClient, worker=[box_worker_file])
    monkeypatch.setattr(releases, "WorkerClient", client)
    monkeypatch.setattr(sam3d("library"), "task", None)
    bpy.context.preferences.system.use_online_access = True
    yield sam3d
    sam3d("library").cancel()
    for name in ("model", "checkpoint", "token"):
        preferences.property_unset(name)


@pytest.fixture
def preferences(models):
    return models("properties").preferences()


def drawn(models, preferences) -> list[str]:
    paper = Paper()
    models("ui.model_panel").draw_model(paper, preferences)
    return paper.notes


def test_without_a_choice_the_built_in_model_is_used(models, preferences):
    assert preferences.model == "mini"
    assert models("session").checkpoint() == models("session").BUILT_IN_CHECKPOINT
    assert drawn(models, preferences) == ["prop model", "Mini is part of the add-on."]
    assert models("library").stand_in() == ""


def test_licences_size_and_token_are_shown_before_a_download(models, preferences):
    preferences.model = "sam-3d-objects"
    notes = drawn(models, preferences)
    assert "SAM 3D Objects is not on this machine yet; until it is, Mini is used." in notes
    assert "SAM 3D Objects, by Meta: 12.6 GB, SAM License" in notes
    assert "MoGe, by Wang et al.: 1.3 GB, MIT; its DINOv2 encoder Apache 2.0" in notes
    assert {"prop token", "operator sam3d.download_model", "Read and Accept"} <= set(notes)
    assert "operator sam3d.remove_model" not in notes
    assert "Mini makes the objects" in models("library").stand_in()
    assert models("session").checkpoint() == models("session").BUILT_IN_CHECKPOINT


def test_a_downloaded_model_is_used_and_the_token_forgotten(models, preferences, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    before = models("session").client()
    preferences.model, preferences.token = "sam-3d-objects", "hf_secret"
    assert models("session").client() is before
    bpy.context.preferences.is_dirty = False
    assert bpy.ops.sam3d.download_model() == {"FINISHED"}
    assert bpy.context.preferences.is_dirty, "so that Blender saves the choice"
    folder = models("library").release().folder
    assert models("session").checkpoint() == folder
    assert preferences.token == models("library").stand_in() == ""
    assert models("library").state() == f"SAM 3D Objects is ready: 0.0 GB in {folder}."
    assert "operator sam3d.download_model" not in drawn(models, preferences)
    assert models("session").client() is not before
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}

    assert "on this machine already" in refusal(bpy.ops.sam3d.download_model)
    assert bpy.ops.sam3d.remove_model() == {"FINISHED"}
    assert not folder.exists() and models("session").checkpoint() == models("session").BUILT_IN_CHECKPOINT


def test_a_folder_of_released_files_is_converted_and_then_used(models, preferences, tmp_path):
    (tmp_path / "fine" / "checkpoints").mkdir(parents=True)
    for name in ("pipeline.yaml", "ss_decoder.ckpt"):
        (tmp_path / "fine" / "checkpoints" / name).touch()
    preferences.model, preferences.checkpoint = "folder", str(tmp_path / "fine")
    notes = drawn(models, preferences)
    assert "The folder holds released files; convert them once to use them." in notes
    assert "operator sam3d.convert_model" in notes
    assert bpy.ops.sam3d.convert_model(directory=str(tmp_path / "fine")) == {"FINISHED"}
    assert preferences.model == "sam-3d-objects"
    assert models("session").checkpoint() == models("library").release().folder


def test_a_local_folder_is_used_as_it_is(models, preferences, tmp_path):
    preferences.model = "folder"
    assert "Choose a folder" in " ".join(drawn(models, preferences))
    assert models("session").checkpoint() == models("session").BUILT_IN_CHECKPOINT
    preferences.checkpoint = str(tmp_path)
    assert "The folder holds no model" in " ".join(drawn(models, preferences))
    assert models("session").checkpoint() == tmp_path
    for name in ("pipeline.yaml", "a.safetensors"):
        (tmp_path / name).touch()
    assert "The folder holds a model that is ready." in drawn(models, preferences)


def test_a_failure_is_told_and_what_was_there_still_works(models, preferences, tmp_path, photo_file):
    assert "holds no pipeline.yaml" in refusal(bpy.ops.sam3d.convert_model, directory=str(tmp_path / "bad"))
    assert "holds no pipeline.yaml" in " ".join(drawn(models, preferences))
    assert preferences.model == "mini"
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    assert bpy.ops.sam3d.add_click(x=30, y=40) == {"FINISHED"}


def test_offline_nothing_is_fetched(models, preferences):
    bpy.context.preferences.system.use_online_access = False
    assert "set to stay offline" in refusal(bpy.ops.sam3d.download_model, model="sam-3d-objects")
    assert models("library").task is None


def test_what_is_no_model_is_refused(models):
    assert "“moon” is not a model to be had" in refusal(bpy.ops.sam3d.download_model, model="moon")


def test_a_python_is_kept_in_the_preferences_once_it_has_proved_fit(
    models, preferences, tmp_path, monkeypatch
):
    task = models("library").convert(tmp_path / "slow")
    assert "wait for it" in refusal(bpy.ops.sam3d.use_python, filepath="/nowhere/python")
    assert preferences.python == ""
    models("library").cancel()
    task.wait()
    bpy.context.preferences.is_dirty = False
    assert "/nowhere/python" in refusal(bpy.ops.sam3d.use_python, filepath="/nowhere/python")
    assert preferences.python == "" and not bpy.context.preferences.is_dirty
    fit = os.environ["SAM3D_PYTHON"]
    assert bpy.ops.sam3d.use_python(filepath=fit) == {"FINISHED"}
    assert preferences.python == fit and bpy.context.preferences.is_dirty
    assert models("installation").state() == f"The model runs in {fit}."
    preferences.property_unset("python")
    monkeypatch.delenv("SAM3D_PYTHON")
    assert models("installation").state() == "The Python environment is not installed yet."


def test_no_model_is_removed_beside_a_reconstruction_and_masks_on_their_way_are_asked_for_anew(
    models, photo_file, monkeypatch
):
    asked = []
    monkeypatch.setattr(models("marking"), "resume", lambda: asked.append(True))
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.context.scene.sam3d.seed = 99
    asked.clear()
    job = models("actions").start_reconstruction().job
    assert "reconstruction is under way" in refusal(bpy.ops.sam3d.remove_model, model="sam-3d-objects")
    assert not job.is_over and not asked
    models("actions").cancel()
    models("session").wait(job)
    assert bpy.ops.sam3d.remove_model(model="sam-3d-objects") == {"FINISHED"} and asked


def test_progress_is_shown_and_can_be_cancelled(models, preferences, tmp_path):
    library = models("library")
    task = library.convert(tmp_path / "slow")
    deadline = time.monotonic() + 20
    while task.fraction != 0.5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {"progress", "operator sam3d.cancel_model"} <= set(drawn(models, preferences))
    assert task.message == "Downloading the model, 6.9 of 13.9 GB"
    assert "already" in refusal(bpy.ops.sam3d.convert_model, directory=str(tmp_path / "fine"))
    assert "wait for it" in refusal(bpy.ops.sam3d.remove_model, model="sam-3d-objects")
    assert bpy.ops.sam3d.cancel_model() == {"FINISHED"}
    assert str(task.wait().state) == "cancelled"
    assert preferences.model == "mini" and not library.release("sam-3d-objects").folder.exists()


def test_a_button_that_names_no_model_never_means_the_one_named_last(sam3d):
    for operator in ("download_model", "convert_model", "remove_model"):
        properties = getattr(bpy.ops.sam3d, operator).get_rna_type().properties
        assert properties["model"].is_skip_save
