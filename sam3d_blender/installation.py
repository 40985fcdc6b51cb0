"""The Python that the worker runs in, as the artist sets it up: make one, or use one of their own."""

from collections.abc import Callable
from pathlib import Path

import bpy

from . import actions, library, marking, session
from .core.errors import ArtistError
from .properties import preferences
from .worker import environment
from .worker.jobs import JobState
from .worker.task import Task

task: Task | None = None
"""The last installation or check that was started."""


def install_environment() -> Task:
    """Make the worker's private Python environment, or make it anew; returns at once, the task goes on.

    It goes online only if Blender may. The worker ends first: its files are about to be replaced.
    """
    session.replacement = _start(lambda: environment.install(online=bpy.app.online_access), lambda: None)
    return session.replacement


def use_python(path: str | Path) -> Task:
    """Have the worker run in this Python once it has proved fit; returns at once, the task goes on."""

    def choose():
        preferences().python = str(path)
        bpy.context.preferences.is_dirty = True  # else they are not saved

    return _start(lambda: environment.check_python(Path(path)), choose)


def state() -> str:
    """How the Python that the worker runs in is, in words."""
    used = session.python()
    if used in (None, environment.python_in(environment.default_folder())):
        return environment.check().reason
    return f"The model runs in {used}."


def is_under_way() -> bool:
    return task is not None and not task.is_over


def cancel() -> None:
    """Give up the installation under way; an environment that was there before stays."""
    if is_under_way():
        task.cancel()


def _start(make_task: Callable[[], Task], when_done: Callable[[], None]) -> Task:
    global task
    if is_under_way() or library.is_under_way() or actions.is_reconstructing():
        raise ArtistError(
            "An installation, a download or a reconstruction is under way; wait for it, or cancel it first."
        )
    session.stop()
    task = make_task()
    return session.follow(task, lambda task: _take(task, when_done))


def _take(over: Task, when_done: Callable[[], None]) -> None:
    if over.state is JobState.DONE:
        when_done()
    marking.resume()  # masks that were on their way ended with the worker
