"""The model that makes the objects, and those to be had: what is here, fetching, converting, removing."""

from pathlib import Path

import bpy

from . import actions, marking, session
from .core.errors import ArtistError
from .properties import preferences
from .worker import releases
from .worker.environment import GIGABYTE
from .worker.jobs import JobState
from .worker.releases import Condition, Release
from .worker.task import Task

task: Task | None = None
"""The last download or conversion that was started."""


def release(name: str = "") -> Release:
    """A model to be had: the named one, or the one chosen in the preferences. Raises ArtistError."""
    known = {**releases.releases(), **releases.segmenters()}
    name = name or preferences().model
    if name not in known:
        raise ArtistError(f"“{name}” is not a model to be had; name one of {', '.join(known)}.")
    return known[name]


def download(name: str = "") -> Task:
    """Fetch a model and convert it; returns at once, the task goes on. It is chosen once it is there.

    The preferences' token is used for it, and forgotten once the model is there.
    """
    if not bpy.app.online_access:
        raise ArtistError(
            "Downloading needs the internet, and Blender is set to stay offline: allow online access in "
            "Edit › Preferences › System, start it without --offline-mode, or convert released files."
        )
    return _start(release(name), token=preferences().token.strip())


def convert(source: str | Path, name: str = "") -> Task:
    """Make a model of a folder of released files; returns at once. It is chosen once it is there.

    name: of the release, by default the first that there is.
    """
    return _start(release(name or next(iter(releases.releases()))), source=Path(source))


def remove(name: str = "") -> None:
    """Delete a model from this disk, and what a download left of it."""
    gone = release(name)
    if is_under_way() or actions.is_reconstructing():
        raise ArtistError("A download or a reconstruction is under way; wait for it, or cancel it first.")
    session.stop_worker()  # which may have its files open; masks on their way are asked for anew
    try:
        releases.remove(gone)
    except OSError as error:
        raise ArtistError(
            f"{gone.folder} cannot be removed ({error.strerror}); close what uses it, and try again."
        ) from error
    finally:
        marking.resume()


def is_under_way() -> bool:
    return task is not None and not task.is_over


def cancel() -> None:
    """Give up the download or conversion under way; what has been fetched is kept for the next one."""
    if is_under_way():
        task.cancel()


def state() -> str:
    """How the chosen model is, in words."""
    told = preferences()
    if told.model == releases.BUILT_IN:
        return "Mini is part of the add-on."
    if told.model == releases.LOCAL:
        return _local_state(told.checkpoint)
    chosen = release()
    match releases.condition(chosen.folder):
        case Condition.READY:
            used = releases.size(chosen.folder) / GIGABYTE
            return f"{chosen.title} is ready: {used:.1f} GB in {chosen.folder}."
        case Condition.BEGUN:
            return f"The download of {chosen.title} is not complete; until it is, Mini is used."
        case Condition.MISSING:
            return f"{chosen.title} is not on this machine yet; until it is, Mini is used."
        case _:
            return f"{chosen.folder} holds something else; remove it. Until then, Mini is used."


def stand_in() -> str:
    """What to say when the built-in model works in place of the chosen one; else nothing."""
    told = preferences()
    if not told or told.model == releases.BUILT_IN or session.checkpoint() != session.BUILT_IN_CHECKPOINT:
        return ""
    return "Mini makes the objects: the model chosen in the preferences is not on this machine."


def _local_state(folder: str) -> str:
    if not folder:
        return "Choose a folder that holds a model; until then, Mini is used."
    match releases.condition(Path(bpy.path.abspath(folder))):
        case Condition.READY:
            return "The folder holds a model that is ready."
        case Condition.RELEASED:
            return "The folder holds released files; convert them once to use them."
        case _:
            return "The folder holds no model; choose one with a pipeline.yaml and weights beside it."


def _start(wanted: Release, token: str = "", source: Path | None = None) -> Task:
    global task
    if is_under_way():
        raise ArtistError(
            "A model is being downloaded or converted already; wait for it, or cancel it first."
        )
    if releases.condition(wanted.folder) not in (Condition.MISSING, Condition.BEGUN):
        raise ArtistError(f"{wanted.title} is on this machine already; remove it first to make it anew.")
    task = releases.obtain(wanted, session.needed_python(), token, source)
    return session.follow(task, lambda task: _take(wanted, task))


def _take(made: Release, task: Task) -> None:
    if task.state is JobState.DONE:
        told = preferences()
        if made.name in releases.segmenters():
            told.segmenter = made.name
        else:
            told.model = made.name
        told.token = ""
        bpy.context.preferences.is_dirty = True  # else they are not saved
