"""The built zip, installed in the Blender that runs the tests; a fresh scene for every test.

Tests use `box_worker`, whose every answer is known.
"""

import functools
import importlib
from pathlib import Path

import bpy
import numpy as np
import pytest
from box_worker import __file__ as box_worker_file

from tools import extension, pictures

PHOTO_SIZE = (96, 128)


@pytest.fixture(scope="session")
def installed():
    yield extension.install()
    extension.disable()


@pytest.fixture
def embedded_model(installed):
    """`embedded_model("actions")`: a module of the installed extension's Blender side, on an empty scene."""

    def module(name: str):
        return importlib.import_module(f"{installed.__name__}.{name}")

    bpy.ops.wm.read_homefile(use_empty=True)
    yield module
    module("session").stop()


@pytest.fixture
def sam3d(embedded_model, monkeypatch):
    """As `embedded_model`, with the worker of boxes in place of the model."""
    session = embedded_model("session")
    client = functools.partial(session.WorkerClient, worker=[box_worker_file])
    monkeypatch.setattr(session, "WorkerClient", client)
    return embedded_model


@pytest.fixture
def photo_file(tmp_path) -> Path:
    """A grey photo of PHOTO_SIZE."""
    path = tmp_path / "a photo.png"
    pictures.write(path, np.full((*PHOTO_SIZE, 3), 0.5, np.float32))
    return path


@pytest.fixture
def photo(sam3d, photo_file) -> bpy.types.Image:
    """The photo, loaded and worked on."""
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    return bpy.context.scene.sam3d.photo


@pytest.fixture
def mask_file(tmp_path) -> Path:
    """A mask of PHOTO_SIZE: rows 30 to 69, columns 80 to 109."""
    path = tmp_path / "lamp.png"
    mask = np.zeros((*PHOTO_SIZE, 3), np.float32)
    mask[30:70, 80:110] = 1
    pictures.write(path, mask)
    return path
