"""From Blender's side of the door to a model folder: released files, a real worker, what it makes of them."""

import shutil
import sys
from pathlib import Path

import pytest
import released
import torch

from sam3d_blender.worker.jobs import JobState
from sam3d_blender.worker.releases import Condition, Release, condition, obtain
from vendor_model import checkpoints
from vendor_model.__main__ import MINI
from vendor_model.config import read_pipeline

CPU = torch.device("cpu")
PYTHON = Path(sys.executable)


@pytest.fixture
def release(tmp_path, monkeypatch) -> Release:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    configuration = Path(shutil.copytree(MINI, tmp_path / "configuration"))
    return Release("tiny", "Tiny", "", configuration, (), 1000)


def test_released_files_become_the_model_that_they_were_written_from(release, tmp_path):
    source = tmp_path / "released"
    released.write(source, released.trained())
    task = obtain(release, PYTHON, source=source).wait()
    assert task.state is JobState.DONE, task.error
    assert condition(task.result) is Condition.READY

    made, mini = (checkpoints.load(folder, read_pipeline(folder), CPU) for folder in (task.result, MINI))
    for name, module in mini.items():
        state = made[name].state_dict()
        assert all(torch.equal(state[key], value) for key, value in module.state_dict().items()), name
