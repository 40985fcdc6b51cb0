"""The private Python that the worker runs in: where it is, how it is made, checked and repaired. No bpy.

It lies in the user's data folder, one for all versions of Blender. Nothing here goes online unless the
caller says that it may.
"""

import contextlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from . import PACKAGE_ROOT
from .install_errors import NO_NETWORK, NO_PERMISSION, explain
from .task import CommandError, Task, TaskError

UV = "uv==0.13.9"
REQUIREMENTS = PACKAGE_ROOT / "vendor_model" / "requirements.txt"
MARKER = "sam3d.json"
"""Written into the environment when it is complete: what it was made for, and what it runs on."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""Where Linux has one, whether or not its tools are there."""

OLDEST_CAPABILITY, BACKEND_BEFORE = 7.5, "cu126"
"""Of NVIDIA's cards, for PyTorch's builds since CUDA 12.8; and the builds for older ones, as a GTX 1080."""

PATIENCE = 40
"""Attempts at moving a folder, a quarter of a second apart."""

GIGABYTE = 10**9
SIZES = {"CUDA": 5.8, "ROCm": 12.0, "MPS": 1.0, "CPU": 1.1}
"""Gigabytes that the packages take, by backend; CUDA and CPU measured on Linux, the others estimated."""


class Condition(StrEnum):
    """What state the private environment is in."""

    MISSING = "missing"
    READY = "ready"
    OUTDATED = "outdated"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """reason: a sentence for the preferences; device: what the model runs on, if the environment is ready."""

    condition: Condition
    reason: str
    device: str = ""


@dataclass(frozen=True)
class Plan:
    """What an installation will do, for the question asked before it.

    backend: CUDA, ROCm, MPS or CPU, as far as can be told beforehand; size: bytes it will take about;
    free: bytes left on that disk.
    """

    folder: Path
    backend: str
    size: int
    free: int

    @property
    def sentence(self) -> str:
        return (
            f"PyTorch for {self.backend} and what it needs, about {self.size / GIGABYTE:.1f} GB, "
            f"will be downloaded from pytorch.org and pypi.org into {self.folder}."
        )


def data_folder() -> Path:
    """Where this user's programs keep their data, by the custom of the platform; ours within."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "sam3d_blender"


def default_folder() -> Path:
    """The private environment's folder."""
    return data_folder() / "python"


def python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return _program_in(folder, "python")


def _program_in(folder: Path, name: str) -> Path:
    return folder / (f"Scripts/{name}.exe" if sys.platform == "win32" else f"bin/{name}")


def installed_python(folder: Path | None = None) -> Path | None:
    """The private environment's interpreter, or None while it cannot be used."""
    folder = folder or default_folder()
    usable = check(folder).condition in (Condition.READY, Condition.OUTDATED)
    return python_in(folder) if usable else None


def check(folder: Path | None = None) -> Check:
    """How the private environment is, from its files alone: quick enough for a panel."""
    folder = folder or default_folder()
    if not folder.exists():
        return Check(Condition.MISSING, "The Python environment is not installed yet.")
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        device, requirements = marker["device"], marker["requirements"]
    except (OSError, ValueError, KeyError, TypeError):
        return Check(
            Condition.BROKEN, f"The Python environment in {folder} is incomplete: press Install Again."
        )
    if not python_in(folder).exists() or not _base_python_folder(folder).exists():
        return Check(
            Condition.BROKEN,
            f"The Python that the environment in {folder} was made with is gone, "
            "perhaps with the Blender that it belonged to: press Install Again.",
        )
    if requirements != REQUIREMENTS.read_text(encoding="utf-8"):
        return Check(
            Condition.OUTDATED, "The Python environment was made for another version: press Install Again."
        )
    return Check(Condition.READY, f"The Python environment is ready and runs on {device}.", device)


def _base_python_folder(folder: Path) -> Path:
    lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return Path(settings["home"])


def plan(backend: str = "auto", folder: Path | None = None) -> Plan:
    """What `install` with the same arguments will do. backend: "auto" for the machine's best, or "cpu"."""
    folder = folder or default_folder()
    name = "CPU" if backend == "cpu" else _best_backend()
    nearest = next(parent for parent in [folder, *folder.parents] if parent.exists())
    return Plan(folder, name, int(SIZES[name] * GIGABYTE), shutil.disk_usage(nearest).free)


def _best_backend() -> str:
    """What uv will choose among those that the model runs on, guessed from the drivers and their tools."""
    if sys.platform == "darwin":
        return "MPS"
    if shutil.which("nvidia-smi") or NVIDIA_DRIVER.exists():
        return "CUDA"
    return "ROCm" if sys.platform == "linux" and shutil.which("rocminfo") else "CPU"


def install(
    online: bool, backend: str = "auto", folder: Path | None = None, base_python: Path | None = None
) -> Task:
    """Make the private environment anew, in the background; also how it is repaired and updated.

    What was there stays until the new one has proved to work; on Windows no worker may run from it by then.
    online: whether the artist allows to go online. base_python: the interpreter to build on, by default the
    one running, which is Blender's. Result: the interpreter.
    """
    planned = plan(backend, folder)
    if not online:
        return Task(lambda task: _refuse_offline())
    return Task(lambda task: _install(task, planned, base_python or Path(sys.executable)))


def _refuse_offline() -> None:
    raise TaskError(
        "Installing needs the internet, and Blender is set to stay offline: allow online access in Edit › "
        "Preferences › System, start it without --offline-mode, or use a Python of your own."
    )


def _install(task: Task, planned: Plan, base_python: Path) -> Path:
    folder = planned.folder
    if planned.free < planned.size:
        raise TaskError(
            f"The disk of {folder} has {planned.free / GIGABYTE:.1f} GB left and "
            f"{planned.size / GIGABYTE:.1f} GB are needed: free some space and try again."
        )
    if folder.exists() and not (folder / "pyvenv.cfg").exists() and any(folder.iterdir()):
        raise TaskError(f"The folder {folder} holds something else: move it away and try again.")
    partial, cache = folder.with_name(folder.name + ".partial"), folder.with_name("cache")
    python = str(python_in(partial))
    reason = ""
    try:
        shutil.rmtree(partial, ignore_errors=True)  # left by an installation that was killed
        partial.parent.mkdir(parents=True, exist_ok=True)
        task.report("Making a Python environment", 0.0)
        _refuse(_diagnose(task, str(base_python), "system")[0])
        # -I: neither this process's Python settings nor the user's site folder nor the current folder count
        task.run([str(base_python), "-I", "-m", "venv", str(partial)])
        backend = _torch_backend(task, planned)
        task.report("Fetching the installer", 0.03)
        task.run([python, "-I", "-m", "pip", "install", "--no-input", UV])
        # Itself, for a Python that ran it would on Windows be ended without it.
        uv = [str(_program_in(partial, "uv")), "pip", "install", "--python", python]
        task.run(
            [*uv, "--cache-dir", str(cache), "--torch-backend", backend, "--requirement", str(REQUIREMENTS)],
            every_second=lambda: _report_download(task, (partial, cache), planned.size),
        )
        task.report("Trying it out", 0.95)
        problem, device = _diagnose(task, python)
        _refuse(problem)
        marker = {"device": device, "requirements": REQUIREMENTS.read_text(encoding="utf-8")}
        (partial / MARKER).write_text(json.dumps(marker), encoding="utf-8")
        _replace(task, folder, partial)
    except (CommandError, OSError) as error:
        reason = explain(str(error))
        raise TaskError(reason) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        # With these the next attempt goes on from what has been fetched.
        if reason not in (NO_NETWORK, NO_PERMISSION):
            shutil.rmtree(cache, ignore_errors=True)
    return python_in(folder)


def _torch_backend(task: Task, planned: Plan) -> str:
    """Which builds of PyTorch uv is to take.

    By itself it would take those for Intel's graphics, too, which the model does not run on, and go by the
    driver, not by the card.
    """
    if planned.backend == "CUDA" and _compute_capability(task) < OLDEST_CAPABILITY:
        return BACKEND_BEFORE
    return "cpu" if planned.backend == "CPU" else "auto"


def _compute_capability(task: Task) -> float:
    """Of the newest NVIDIA card; infinite where the driver does not tell."""
    try:
        told = task.run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"])
        return max(float(line) for line in told.split())
    except (OSError, CommandError, ValueError):
        return math.inf


def _report_download(task: Task, folders: tuple[Path, ...], total: int) -> None:
    done = _size_on_disk(folders)
    task.report(
        f"Downloading packages, {done / GIGABYTE:.1f} of about {total / GIGABYTE:.1f} GB",
        0.05 + 0.9 * min(done / total, 1.0),
    )


def _size_on_disk(folders: tuple[Path, ...]) -> int:
    """Bytes in all files; one that is linked into several places, as uv does, counts once."""
    sizes = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # the installer moves its files about
                    facts = os.lstat(os.path.join(parent, name))
                    sizes[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(sizes.values())


def _replace(task: Task, folder: Path, partial: Path) -> None:
    """Put the finished environment in its place. Its scripts name the old place, but only -m is ever used."""
    prefix = folder.name + ".old"
    old = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent)) / folder.name
    try:
        if folder.exists():
            _move(folder, old, task.stop_if_cancelled)
        _move(partial, folder)
    except OSError:
        if old.exists():
            _move(old, folder)
        raise
    finally:
        with contextlib.suppress(OSError):
            old.parent.rmdir()
        # Once there is one, those that it replaced, now or before while they were still in use, can go.
        for left_over in folder.parent.glob(prefix + "*") if folder.exists() else ():
            shutil.rmtree(left_over, ignore_errors=True)


def _move(source: Path, target: Path, between: Callable[[], None] = lambda: None) -> None:
    """Rename a folder, waiting while Windows refuses: a virus scanner may have a new file in it open.

    between: called between the attempts; may raise to give up.
    """
    for _ in range(PATIENCE - 1):
        try:
            source.rename(target)
            return
        except PermissionError:
            time.sleep(0.25)
            between()
    source.rename(target)


def check_python(python: Path) -> Task:
    """Find out in the background whether a Python of the artist's own is fit. Result: its device's name."""
    return Task(lambda task: _check_python(task, python))


def _check_python(task: Task, python: Path) -> str:
    task.report("Trying the Python out", 0.0)
    try:
        return _examine(task, str(python))
    except OSError as error:
        raise TaskError(f"{python} cannot be run ({error.strerror}): choose a Python executable.") from error
    except CommandError as error:
        raise TaskError(f"{python} does not act like a Python: choose a Python executable.") from error


def _refuse(problem: str | None) -> None:
    """Raise TaskError if the doctor has found a problem of this machine."""
    if problem:
        raise TaskError(f"The model cannot run here because {problem}: fix that and try again.")


def _examine(task: Task, python: str) -> str:
    """The name of the device that the model would run on; raises TaskError when the Python is not fit."""
    problem, device = _diagnose(task, python)
    if problem:
        raise TaskError(f"{python} cannot run the model because {problem}: fix that or choose another one.")
    return device


def _diagnose(task: Task, python: str, *what: str) -> tuple[str | None, str]:
    """The doctor's (problem, device)."""
    output = task.run([python, "-s", "-m", "vendor_model.doctor", *what], package_root=PACKAGE_ROOT)
    try:
        report = json.loads([line for line in output.splitlines() if line.startswith("{")][-1])
        return report["problem"], report.get("device")
    except (ValueError, LookupError, TypeError) as error:
        raise CommandError(output) from error
