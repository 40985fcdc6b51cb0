"""Models to be had: what is told of them, where they lie, and how getting one ends."""

import functools
import os
import sys
import time
from pathlib import Path

import pytest

from sam3d_blender.worker import releases
from sam3d_blender.worker.client import WorkerClient
from sam3d_blender.worker.jobs import JobState
from sam3d_blender.worker.releases import Condition, choose, condition, obtain, remove

PYTHON = Path(sys.executable)
STUB = (str(Path(__file__).resolve().parent.parent / "stub_worker.py"),)


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "Grüße 写真"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Grüße 写真"))
    monkeypatch.setattr(releases, "WorkerClient", functools.partial(WorkerClient, worker=STUB))
    return releases.releases()["sam-3d-objects"]


def test_what_is_told_before_a_download(release):
    meta, moge = release.weights
    assert meta.gated and not moge.gated
    assert (meta.license, moge.license[:3]) == ("SAM License", "MIT")
    assert meta.page == "https://huggingface.co/facebook/sam-3d-objects"
    assert 13e9 < release.download < 15e9 and release.bytes < 6e9
    assert (release.configuration / "pipeline.yaml").exists()


def test_a_model_is_made_in_the_folder_of_the_user(release, tmp_path):
    task = obtain(release, PYTHON, source=tmp_path).wait()
    assert task.state is JobState.DONE, task.error
    assert task.result == release.folder and tmp_path in release.folder.parents
    said = f"{release.configuration} {tmp_path} {os.environ.get('HF_TOKEN')}"
    assert (release.folder / "pipeline.yaml").read_text() == said
    assert condition(release.folder) is Condition.READY and releases.size(release.folder) > 1000
    assert choose(release.name, "") == release.folder
    remove(release)
    assert condition(release.folder) is Condition.MISSING and choose(release.name, "") is None


def test_the_token_reaches_the_worker_and_no_command_line_or_log(release, monkeypatch):
    clients = []

    def remembered(*arguments, **settings):
        clients.append(WorkerClient(*arguments, worker=STUB, **settings))
        return clients[0]

    monkeypatch.setattr(releases, "WorkerClient", remembered)
    task = obtain(release, PYTHON, token="hf_secret").wait()
    assert "hf_secret" in (release.folder / "pipeline.yaml").read_text()
    said = [task.message, *task.log, *clients[0]._arguments, *clients[0].log]
    assert not any("hf_secret" in words for words in said)


def test_a_refusal_is_told_and_what_was_there_stays(release):
    begun = release.folder.with_name(release.name + ".download")
    begun.mkdir(parents=True)
    task = obtain(release, PYTHON, token="refused").wait()
    assert task.state is JobState.FAILED and "accept the licence" in task.error
    assert condition(release.folder) is Condition.BEGUN and begun.exists()
    remove(release)
    assert not begun.exists()


def test_cancelling_ends_it_soon_and_leaves_nothing_half_made(release):
    task = obtain(release, PYTHON, token="slow")
    partial = release.folder.with_name(release.name + ".partial")
    deadline = time.monotonic() + 20
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    while task.fraction != 0.5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert task.message == "Downloading the model, 6.9 of 13.9 GB"
    began = time.monotonic()
    task.cancel()
    assert task.wait().state is JobState.CANCELLED and time.monotonic() - began < 3
    assert list(release.folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["pipeline.yaml", "a.safetensors"], Condition.READY),
        (["pipeline.yaml", "a.ckpt"], Condition.RELEASED),
        (["checkpoints/pipeline.yaml", "checkpoints/a.ckpt"], Condition.RELEASED),
        (["checkpoints/hf/pipeline.yaml", "checkpoints/hf/a.ckpt"], Condition.RELEASED),
        (["pipeline.yaml"], Condition.UNKNOWN),
        (["holiday.png"], Condition.UNKNOWN),
    ],
)
def test_folders_are_told_apart_by_their_files(tmp_path, files, expected):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert condition(tmp_path) is expected


def test_the_built_in_model_is_used_until_the_chosen_one_is_there(release, tmp_path):
    assert choose(releases.BUILT_IN, "/somewhere") is None
    assert choose(release.name, "/somewhere") is None
    assert choose(releases.LOCAL, "") is None
    assert choose(releases.LOCAL, str(tmp_path)) == tmp_path
