"""The one worker of this Blender and the jobs it has in hand, brought up to date on the main thread.

A job's outcome is delivered by a timer in a window, and by `wait` where there is no event loop.
"""

import os
from collections.abc import Callable
from pathlib import Path

import bpy

from .core.errors import ArtistError
from .properties import preferences
from .worker import PACKAGE_ROOT, environment, releases
from .worker.client import WorkerClient
from .worker.jobs import Job, JobState
from .worker.task import Task

BUILT_IN_CHECKPOINT = PACKAGE_ROOT / "vendor_model" / "mini"
PYTHON_VARIABLE = "SAM3D_PYTHON"
"""Names the worker's Python before any other, for scripts and render farms."""

POLL_SECONDS = 0.05

replacement: Task | None = None
"""The last installation of the private Python. While it goes on no worker starts in it: Windows would not
replace files that are in use."""

_client: WorkerClient | None = None
_client_facts: tuple[Path, Path] | None = None
_outcomes: dict[Job | Task, Callable] = {}


def python() -> Path | None:
    """The Python that the worker runs in: from the variable, the preferences, or the one made here."""
    if os.environ.get(PYTHON_VARIABLE):
        return Path(os.environ[PYTHON_VARIABLE])
    told = preferences()
    if told and told.python:
        return Path(bpy.path.abspath(told.python))
    return environment.installed_python()


def checkpoint() -> Path:
    """The model's folder: the one chosen in the preferences, or the built-in one until that is there."""
    told = preferences()
    chosen = releases.choose(told.model, bpy.path.abspath(told.checkpoint)) if told else None
    return chosen or BUILT_IN_CHECKPOINT


def segmenter() -> str:
    """What turns clicks into masks, by the preferences: see `releases.choose_segmenter`."""
    told = preferences()
    if told is None:
        return releases.choose_segmenter(releases.BEST, "")
    local = told.segmenter_folder
    return releases.choose_segmenter(told.segmenter, bpy.path.abspath(local) if local else "")


def memory() -> str | None:
    """How much memory the model may take, by the preferences; None to have it chosen from what is free."""
    told = preferences()
    return told.memory if told and told.memory != "auto" else None


def needed_python() -> Path:
    """As `python`; raises ArtistError when there is none, or it is being replaced."""
    found = python()
    is_private = found in (None, environment.python_in(environment.default_folder()))
    if is_private and replacement is not None and not replacement.is_over:
        raise ArtistError("The Python environment is being installed; wait until it is, or cancel that.")
    if found is None:
        raise ArtistError(
            "SAM 3D has no Python environment yet; "
            "press Install in Edit › Preferences › Add-ons › SAM 3D for Blender."
        )
    return found


def client() -> WorkerClient:
    """The worker; a new one when Python or model have changed, but not while the present one is busy.

    Raises ArtistError as `needed_python`.
    """
    global _client, _client_facts
    facts = (needed_python(), checkpoint())
    if _client is None or (facts != _client_facts and not _client.is_busy):
        stop_worker()
        _client, _client_facts = WorkerClient(*facts), facts
    return _client


def is_outdated() -> bool:
    """Whether the worker has another Python or model than those chosen by now."""
    return _client is not None and _client_facts != (needed_python(), checkpoint())


def follow(job: Job | Task, on_over: Callable) -> Job | Task:
    """Call `on_over(job)` on the main thread once the job is over; returns the job."""
    _outcomes[job] = on_over
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=POLL_SECONDS, persistent=True)
    return job


def wait(job: Job | Task, on_progress: Callable[[Job], None] | None = None) -> Job | Task:
    """Block until the job is over and its outcome is delivered. on_progress: of a job of the worker."""
    if isinstance(job, Task):
        job.wait()
    else:
        _client.wait(job, on_progress)
    _deliver()
    return job


def result_of(job: Job) -> object:
    """The result of a job that is over. Raises ArtistError when it failed or was cancelled."""
    if job.state == JobState.CANCELLED:
        raise ArtistError("The job was cancelled; start it again when you want its result.")
    if job.state == JobState.FAILED:
        raise ArtistError(job.error)
    return job.result


def cancel(job: Job) -> None:
    """Give the job up; its outcome is delivered as any other."""
    if _client:
        _client.cancel(job)


def forget() -> None:
    """Cancel every job of the worker and deliver none: what they were for is gone."""
    for job in [job for job in _outcomes if isinstance(job, Job)]:
        cancel(job)
        del _outcomes[job]


def stop_worker() -> None:
    """End the worker and its jobs; the next job starts a new one."""
    global _client
    forget()
    if _client:
        _client.stop()
        _client = None


def stop() -> None:
    """End the worker and every job, and leave no timer behind."""
    stop_worker()
    _outcomes.clear()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def redraw(panels_alone: bool) -> None:
    """Show the present state in every editor that has our panel.

    panels_alone: what an editor shows beside the panel, maybe a heavy scene, is as it was.
    """
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"IMAGE_EDITOR", "VIEW_3D", "PREFERENCES"}:
                for region in area.regions:
                    if not panels_alone or region.type == "UI" or area.type == "PREFERENCES":
                        region.tag_redraw()


def _tick() -> float | None:
    if _client:
        _client.poll()
    redraw(panels_alone=not _deliver())
    return POLL_SECONDS if _outcomes or (_client and _client.is_busy) else None


def _deliver() -> bool:
    """Whether there was anything to deliver."""
    over = [job for job in _outcomes if job.is_over]
    for job in over:
        on_over = _outcomes.pop(job)
        on_over(job)
    return bool(over)
