"""The private Python: its states, its making, and its failures in words. Nothing here goes online."""

import json
import os
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sam3d_blender.worker import environment, install_errors
from sam3d_blender.worker.environment import Condition, check, check_python, install, installed_python, plan
from sam3d_blender.worker.jobs import JobState
from sam3d_blender.worker.task import Task
from vendor_model import doctor

PYTHON = Path(sys.executable)

FAKE_UV = """
import os, subprocess, sys
def main():
    arguments = sys.argv[1:]
    os.makedirs(arguments[arguments.index("--cache-dir") + 1], exist_ok=True)
    assert arguments[:2] == ["pip", "install"]
    print("backend", arguments[arguments.index("--torch-backend") + 1])
    for option in ("--python", "--cache-dir", "--torch-backend"):
        at = arguments.index(option)
        del arguments[at : at + 2]
    sys.exit(subprocess.run([sys.executable, "-I", "-m", *arguments]).returncode)
"""
FAKE_TORCH = """
print("a line that torch prints")
class backends:
    class mps:
        is_available = staticmethod(lambda: False)
class cuda(backends.mps):
    pass
class Tensor:
    pass
class device:
    type = "cpu"
    def __init__(self, name): pass
    def __str__(self): return "cpu"
class ones:
    def __init__(self, *size, device): pass
    def __matmul__(self, other): return self
    def sum(self): return self
    def item(self): return 64**3
"""


def write_wheel(folder, name, version, code, scripts=""):
    module = f"{name}/__init__.py"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(module, code)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", scripts)
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """pip finds packages in an empty folder only."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheels.as_uri())
    return wheels


@pytest.fixture
def packages(no_index):
    """Small stand-ins for everything that an installation fetches."""
    script = "[console_scripts]\nuv = uv:main\n"
    write_wheel(no_index, "uv", environment.UV.split("==")[1], FAKE_UV, script)
    for package, version in doctor.lowest_versions(doctor.REQUIREMENTS.read_text(encoding="utf-8")).items():
        write_wheel(no_index, package.replace("-", "_"), version, FAKE_TORCH if package == "torch" else "")
    return no_index


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "données de l'artiste" / "python"


def make_ready(folder, **marker):
    """An environment's files without its packages."""
    python = environment.python_in(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / "pyvenv.cfg").write_text(f"home = {PYTHON.parent}\nversion = 3.11.0\n")
    requirements = doctor.REQUIREMENTS.read_text(encoding="utf-8")
    (folder / environment.MARKER).write_text(
        json.dumps({"device": "cpu", "requirements": requirements} | marker)
    )


# Its states


def test_environment_that_is_not_there_is_missing(folder):
    assert check(folder).condition is Condition.MISSING
    assert installed_python(folder) is None


def test_complete_environment_is_ready_and_names_its_device(folder):
    make_ready(folder, device="Quadro")
    assert check(folder).condition is Condition.READY and check(folder).device == "Quadro"
    assert installed_python(folder) == environment.python_in(folder)


def test_environment_for_other_requirements_is_outdated_but_usable(folder):
    make_ready(folder, requirements="torch>=1.0\n")
    assert check(folder).condition is Condition.OUTDATED
    assert installed_python(folder)


@pytest.mark.parametrize("harm", ["no marker", "half a marker", "no python", "no base"])
def test_damaged_environment_is_broken(folder, harm):
    make_ready(folder)
    if harm == "no marker":
        (folder / environment.MARKER).unlink()
    if harm == "half a marker":
        (folder / environment.MARKER).write_text('{"device": "c')
    if harm == "no python":
        environment.python_in(folder).unlink()
    if harm == "no base":
        (folder / "pyvenv.cfg").write_text("home = /Applications/Blender 4.2 that was removed\n")
    assert check(folder).condition is Condition.BROKEN and "press Install Again" in check(folder).reason
    assert installed_python(folder) is None


def test_data_folder_follows_the_platforms_custom(monkeypatch, tmp_path):
    monkeypatch.setattr(environment.sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert environment.data_folder() == tmp_path / "sam3d_blender"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert environment.data_folder() == Path.home() / ".local/share/sam3d_blender"
    monkeypatch.setattr(environment.sys, "platform", "darwin")
    assert environment.data_folder() == Path.home() / "Library/Application Support/sam3d_blender"
    monkeypatch.setattr(environment.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert environment.data_folder() == tmp_path / "Local" / "sam3d_blender"


def test_plan_names_size_place_and_backend(folder, monkeypatch):
    planned = plan("cpu", folder)
    assert planned.backend == "CPU" and planned.size > 10**9 and planned.free > 0
    assert str(folder) in planned.sentence and "1.1 GB" in planned.sentence
    monkeypatch.setattr(environment.shutil, "which", lambda tool: tool if tool == "nvidia-smi" else None)
    monkeypatch.setattr(environment.sys, "platform", "linux")
    assert plan("auto", folder).backend == "CUDA"


# Its making


def test_installation_after_a_lost_connection_works_and_outlives_a_failed_repair(folder, packages):
    beside = folder.parent
    scipy = next(packages.glob("scipy*"))
    scipy.rename(beside.parent / scipy.name)
    task = install(online=True, backend="cpu", folder=folder).wait()
    assert task.state is JobState.FAILED and task.error == install_errors.NO_NETWORK, list(task.log)
    assert [entry.name for entry in beside.iterdir()] == ["cache"], "what was fetched is for the next attempt"

    (beside.parent / scipy.name).rename(scipy)
    task = install(online=True, backend="cpu", folder=folder).wait()
    assert task.state is JobState.DONE, list(task.log)
    assert check(folder).condition is Condition.READY and check(folder).device == "cpu"
    assert check_python(task.result).wait().result == "cpu"
    assert [entry.name for entry in beside.iterdir()] == ["python"]
    assert "backend cpu" in task.log

    assert install(True, "cpu", folder, base_python=Path("/bin/false")).wait().state is JobState.FAILED
    assert check(folder).condition is Condition.READY


def test_machine_without_a_card_that_the_model_runs_on_gets_pytorch_for_its_cpu(
    folder, packages, monkeypatch
):
    monkeypatch.setattr(environment, "_best_backend", lambda: "CPU")
    monkeypatch.setitem(environment.SIZES, "CPU", 0.1)
    assert "backend cpu" in install(online=True, folder=folder).wait().log


def test_card_that_the_newest_builds_do_not_know_gets_older_ones(folder, packages, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(environment.SIZES, "CUDA", 0.1)
    tool = tmp_path / "nvidia-smi"
    for told, backend in (("6.1", "cu126"), ("6.1\n8.6", "auto"), ("Field is not valid", "auto")):
        tool.write_text(f"#!/bin/sh\necho '{told}'\n")
        tool.chmod(0o755)
        assert f"backend {backend}" in install(online=True, folder=folder).wait().log


def test_finished_environment_waits_for_what_has_it_open(folder, monkeypatch):
    partial, waits = folder.with_name("python.partial"), []
    make_ready(folder, device="old")
    make_ready(partial, device="new")
    rename = Path.rename

    def rename_at_last(source, target):
        if source == partial and len(waits) < 3:
            raise PermissionError(13, "Access is denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", rename_at_last)
    monkeypatch.setattr(environment.time, "sleep", waits.append)
    environment._replace(SimpleNamespace(stop_if_cancelled=lambda: None), folder, partial)
    assert check(folder).device == "new" and len(waits) == 3
    assert [entry.name for entry in folder.parent.iterdir()] == ["python"]


def test_environment_that_cannot_even_be_put_back_is_not_deleted(folder, monkeypatch):
    partial, rename = folder.with_name("python.partial"), Path.rename
    make_ready(folder, device="old")
    make_ready(partial, device="new")

    def refuse(source, target):
        if target == folder:
            raise PermissionError(13, "Access is denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(environment.time, "sleep", lambda seconds: None)
    task = SimpleNamespace(stop_if_cancelled=lambda: None)
    with pytest.raises(PermissionError):
        environment._replace(task, folder, partial)
    [kept] = folder.parent.glob("python.old*/python")
    assert check(kept).device == "old"
    monkeypatch.undo()
    environment._replace(task, folder, partial)
    assert check(folder).device == "new" and [entry.name for entry in folder.parent.iterdir()] == ["python"]


def test_cancel_while_the_old_environment_is_in_use_leaves_it(folder, packages, monkeypatch):
    make_ready(folder, device="old")
    rename = Path.rename

    def refuse(source, target):
        if source == folder:
            task.cancel()
            raise PermissionError(13, "Permission denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    task = install(online=True, backend="cpu", folder=folder)
    assert task.wait().state is JobState.CANCELLED and check(folder).device == "old"
    assert [entry.name for entry in folder.parent.iterdir()] == ["python"]


def test_environment_that_stays_in_use_stays_where_it_is_and_what_was_fetched_is_kept(
    folder, packages, monkeypatch
):
    make_ready(folder, device="old")
    rename = Path.rename

    def refuse(source, target):
        if source == folder:
            raise PermissionError(13, "Permission denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(environment, "PATIENCE", 2)
    task = install(online=True, backend="cpu", folder=folder).wait()
    assert task.error == install_errors.NO_PERMISSION, list(task.log)
    assert check(folder).device == "old"
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["cache", "python"]


def test_system_on_which_pytorch_cannot_work_is_refused_before_the_download(folder, packages, tmp_path):
    system = tmp_path / "python"
    reason = "it has no Visual C++"
    system.write_text(f'#!/bin/sh\necho \'{{"problem": "{reason}"}}\'\n')
    system.chmod(0o755)
    task = install(online=True, backend="cpu", folder=folder, base_python=system).wait()
    assert reason in task.error and list(folder.parent.iterdir()) == []


def test_missing_visual_cpp_of_windows_is_named_with_its_page(monkeypatch):
    assert doctor.find_system_problem() is None
    monkeypatch.setattr(doctor.sys, "platform", "win32")
    monkeypatch.setattr(doctor, "VISUAL_CPP", "no such library.dll")
    assert doctor.VISUAL_CPP_PAGE in doctor.find_system_problem()


def test_installation_is_refused_offline(folder):
    task = install(online=False, folder=folder).wait()
    assert task.state is JobState.FAILED and "allow online access" in task.error
    assert not folder.parent.exists()


def test_full_disk_is_reported_before_anything_is_written(folder, monkeypatch):
    monkeypatch.setattr(
        environment.shutil, "disk_usage", lambda _: environment.shutil._ntuple_diskusage(9, 9, 0)
    )
    task = install(online=True, backend="cpu", folder=folder).wait()
    assert "0.0 GB left" in task.error and not folder.parent.exists()


def test_data_folder_that_cannot_be_made_is_reported_as_permission(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    task = install(online=True, backend="cpu", folder=tmp_path / "new" / "python").wait()
    assert task.error == install_errors.NO_PERMISSION


def test_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "holiday.png").touch()
    task = install(online=True, backend="cpu", folder=tmp_path).wait()
    assert task.state is JobState.FAILED and "something else" in task.error
    assert (tmp_path / "holiday.png").exists()


def test_cancel_ends_the_installation_at_once_and_leaves_nothing(folder, no_index):
    task = install(online=True, backend="cpu", folder=folder)
    site_packages = folder.with_name("python.partial") / "lib"
    deadline = time.monotonic() + 20
    while not list(site_packages.glob("python*/site-packages/*")) and time.monotonic() < deadline:
        time.sleep(0.01)  # until a child of the command is at work
    began = time.monotonic()
    task.cancel()
    task.wait()
    assert task.state is JobState.CANCELLED and time.monotonic() - began < 2
    assert list(folder.parent.iterdir()) == []


def test_size_on_disk_counts_linked_files_once(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "wheel").write_bytes(bytes(1000))
    os.link(tmp_path / "cache" / "wheel", tmp_path / "installed")
    assert environment._size_on_disk((tmp_path, tmp_path / "nothing")) == 1000


@pytest.mark.parametrize(
    "sentence, output",
    [
        (install_errors.NO_NETWORK, "error: Request failed\n  cause: dns error"),
        (install_errors.NO_NETWORK, "error sending request: Broken pipe (os error 32)"),
        (install_errors.NO_SPACE, "ERROR: Could not install: [Errno 28] No space left on device"),
        (install_errors.NO_SPACE, "failed to write (os error 112)"),
        (install_errors.PROXY, "ProxyError('Cannot connect to proxy.', timed out)"),
        (install_errors.CERTIFICATE, "SSLError(CERTIFICATE_VERIFY_FAILED) No matching distribution found"),
        (install_errors.NO_PERMISSION, "[WinError 5] Zugriff verweigert: 'python.partial'"),
        (install_errors.NO_PERMISSION, "used by another process. (os error 32)"),
        (install_errors.NO_ENSUREPIP, "not created successfully because ensurepip is not available."),
        (install_errors.NO_BUILD, "torch==2.5 has no wheels with a matching Python ABI tag"),
    ],
)
def test_failure_is_explained_in_words(sentence, output):
    assert install_errors.explain(output) == sentence


def test_unknown_failure_repeats_the_last_line():
    assert "the moon is full" in install_errors.explain("Traceback:\n\nthe moon is full\n\n")


# A Python of one's own


def test_python_of_this_test_is_fit():
    task = check_python(PYTHON).wait()
    assert task.state is JobState.DONE and task.result, task.error


def test_python_that_is_missing_or_no_python_is_refused(tmp_path):
    assert "cannot be run" in check_python(tmp_path / "python").wait().error
    assert "does not act like a Python" in check_python(Path("/bin/echo")).wait().error


def test_package_that_is_missing_or_old_is_named():
    assert doctor.find_missing_package("torch>=1.0\n# comment\n") is None
    assert doctor.find_missing_package("no-such-package>=1.0\n") == "it lacks no-such-package 1.0 or newer"
    assert "999 or newer is needed" in doctor.find_missing_package("torch>=999\n")


def test_versions_compare_by_number():
    assert doctor.version_numbers("2.13.0+cpu") > doctor.version_numbers("2.5")
    assert doctor.version_numbers("2.5") == doctor.version_numbers("2.5.0")


def test_task_reports_a_mistake_of_its_own_in_words_and_the_rest_in_the_console(capsys):
    task = Task(lambda task: 1 / 0).wait()
    assert task.state is JobState.FAILED and "ZeroDivisionError" in task.error
    assert any("Traceback" in line for line in task.log)
    assert "system console" in task.error and "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows kills no children")
def test_cancel_ends_the_children_of_a_command_too():
    child = "import time; print('started', flush=True); time.sleep(20)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    task = Task(lambda task: task.run([str(PYTHON), "-c", parent]))
    while not task.log:
        time.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    assert task.wait().state is JobState.CANCELLED and time.monotonic() - began < 2
