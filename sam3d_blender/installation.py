"""The Python that the worker runs in, as the artist sets it up: make one, or use one of their own."""

from pathlib import Path

import bpy

from . import actions, library, session
from .core.errors import ArtistError
from .properties import preferences
from .worker import environment
from .worker.task import Task

task: Task | None = None
"""The last installation or check that was started."""


def install_environment() -> Task:
    """Make the worker's private Python environment, or make it anew; returns at once, the task goes on.

    It goes online only if Blender may. The worker ends first: its files are about to be replaced.
    """
    session.replacement = _start(lambda: environment.install(online=bpy.app.online_access))
    return session.replacement


def use_python(path: str | Path) -> Task:
    """Have the worker run in this Python from now on; the task tells whether it is fit."""
    check = _start(lambda: environment.check_python(Path(path)))
    preferences().python = str(path)
    bpy.context.preferences.is_dirty = True  # else they are not saved
    return check


def is_under_way() -> bool:
    return task is not None and not task.is_over


def cancel() -> None:
    """Give up the installation under way; an environment that was there before stays."""
    if is_under_way():
        task.cancel()


def _start(make_task) -> Task:
    global task
    if is_under_way() or library.is_under_way() or actions.is_reconstructing():
        raise ArtistError(
            "An installation, a download or a reconstruction is under way; wait for it, or cancel it first."
        )
    session.stop()
    task = make_task()
    return session.follow(task, lambda task: None)
