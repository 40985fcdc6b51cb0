"""The Python environments that building, testing and the demo need, all of them under `.venv/`.

Made on first use; a stamp of what was asked for makes later uses cheap. Nothing here needs more than the
standard library of the Python that runs it.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL_ENVIRONMENT = ROOT / ".venv"
BLENDERS = {"4.5": "bpy==4.5.15", "5.0": "bpy==5.0.1"}
"""The Blenders that the extension is tested in, as wheels from PyPI."""

BLENDER_PYTHON = (3, 11)
"""What those wheels are built for."""

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
REACHABLE_WITHIN_SECONDS = 5


def model_python() -> Path:
    """The interpreter of `.venv/`: the models, their training and the tests, with torch for the CPU."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    requirements = [*extras["model"], *extras["training"], *extras["test"]]
    return _environment(MODEL_ENVIRONMENT, requirements, _make_with_this_python, _torch_source())


def blender_python(version: str) -> Path:
    """The interpreter of `.venv/blender-<version>/`: Blender as a module, and pytest."""
    folder = MODEL_ENVIRONMENT / f"blender-{version}"
    fits = sys.version_info[:2] == BLENDER_PYTHON
    return _environment(
        folder, [BLENDERS[version], "pytest>=8.3"], _make_with_this_python if fits else _make_with_uv
    )


def _environment(folder: Path, requirements: list[str], make, pip_options: list[str] | None = None) -> Path:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(json.dumps(requirements).encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Making {folder.relative_to(ROOT)}: {', '.join(requirements)}", flush=True)
    if not python.exists():
        make(folder)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *(pip_options or []), *requirements], check=True
    )
    stamp.write_text(wanted)
    return python


def _make_with_this_python(folder: Path) -> None:
    venv.create(folder, with_pip=True)


def _make_with_uv(folder: Path) -> None:
    """uv finds a Python of Blender's version on this machine, or downloads one."""
    python = model_python()
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    version = ".".join(map(str, BLENDER_PYTHON))
    subprocess.run([python, "-m", "uv", "venv", "--quiet", "--seed", "--python", version, folder], check=True)


def _torch_source() -> list[str]:
    """PyPI's torch for Linux brings CUDA, several GB; PyTorch's own index has the small one.

    Its builds carry a local version (`+cpu`), which pip prefers. Where that index is out of reach (a
    mirror, an offline wheel folder) pip's own configuration decides; elsewhere PyPI's build is the small one.
    """
    if not sys.platform.startswith("linux"):
        return []
    try:
        urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=REACHABLE_WITHIN_SECONDS).close()
    except (urllib.error.URLError, TimeoutError):
        return []
    return ["--extra-index-url", TORCH_CPU_INDEX]
