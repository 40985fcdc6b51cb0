"""Build the extension, test it, show it.

    python3 build_addon.py              dist/sam3d_blender-<version>.zip
    python3 build_addon.py test         everything: lint, tests without Blender, the built zip in each Blender
    python3 build_addon.py demo         photo to scene on samples/toys.jpg; results in demo/

Needs Python 3.11 or later, with pip, and nothing else: environments are made under .venv/ (PyTorch for the
CPU, and Blender as the module `bpy`, 3 GB in all) and used again the next time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.environments import BLENDERS, ROOT, blender_python, model_python

DIST = ROOT / "dist"
DEMO = ROOT / "demo"
NEWEST_BLENDER = max(BLENDERS)

SHIPPED_FILES = ("blender_manifest.toml", "LICENSE", "README.md")
SHIPPED_FOLDERS = ("sam3d_blender", "vendor_model")
NOT_SHIPPED = ("vendor_model/training/", "vendor_model/evaluation/", "vendor_model/benchmark/")
ENTRY_POINT = '''"""SAM 3D for Blender: photo to scene."""

from .sam3d_blender import register, unregister

__all__ = ["register", "unregister"]
'''
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the zip, so that the same sources make the same zip."""


def build() -> Path:
    """Write the extension's zip and return its path."""
    with open(ROOT / "blender_manifest.toml", "rb") as file:
        manifest = tomllib.load(file)
    DIST.mkdir(exist_ok=True)
    path = DIST / f"{manifest['id']}-{manifest['version']}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry("__init__.py"), ENTRY_POINT)
        for name in shipped_names():
            archive.writestr(_entry(name), (ROOT / name).read_bytes())
    print(f"Built {path.relative_to(ROOT)}, {path.stat().st_size / 1e6:.1f} MB")
    return path


def shipped_names() -> list[str]:
    """Paths of all files in the zip but its entry point, relative to the root, with slashes, sorted."""
    names = [name for name in SHIPPED_FILES if (ROOT / name).exists()]
    for folder in SHIPPED_FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(NOT_SHIPPED):
                names.append(name)
    return sorted(names)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def validate(path: Path) -> bool:
    """Whether Blender's own check of extensions accepts the zip."""
    python = blender_python(NEWEST_BLENDER)
    [checker] = python.parent.parent.glob(
        "**/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    )
    return _passes(f"Blender's validation of {path.name}", [python, checker, "validate", path])


def test() -> bool:
    """Run every check, all of them even when one fails; whether all passed."""
    python = model_python()
    results = [
        _passes("ruff check", [python, "-m", "ruff", "check", ROOT]),
        _passes("ruff format", [python, "-m", "ruff", "format", "--check", ROOT]),
        _passes("tests without Blender", [python, "-m", "pytest"]),
    ]
    path = build()
    results.append(validate(path))
    for version in BLENDERS:
        with private_blender(path) as environment:
            tests = [
                blender_python(version),
                "-m",
                "pytest",
                "-o",
                "pythonpath=. tests/blender",
                "tests/blender",
            ]
            results.append(_passes(f"tests in Blender {version}", tests, environment))
    return all(results)


def demo() -> bool:
    """Photo to scene in the newest Blender, through the extension's operators."""
    path = build()
    if not validate(path):
        return False
    DEMO.mkdir(exist_ok=True)
    with private_blender(path) as environment:
        script = [blender_python(NEWEST_BLENDER), "-m", "tools.demo", DEMO]
        return _passes("demo", script, environment)


@contextmanager
def private_blender(extension: Path) -> Iterator[dict[str, str]]:
    """Variables for a Blender with empty settings of its own that finds the zip and the models."""
    with tempfile.TemporaryDirectory(prefix="sam3d_blender_") as home:
        yield os.environ | {
            **dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA"), home),
            "BLENDER_USER_RESOURCES": str(Path(home, "blender")),
            "SAM3D_EXTENSION": str(extension),
            "SAM3D_PYTHON": str(model_python()),
        }


def _passes(what: str, command: list, environment: dict[str, str] | None = None) -> bool:
    print(f"\n== {what}", flush=True)
    code = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment).returncode
    if code:
        print(f"{what}: failed, exit code {code}", file=sys.stderr, flush=True)
    return code == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", nargs="?", choices=("build", "test", "demo"), default="build")
    task = parser.parse_args().task
    if task == "build":
        build()
        return 0
    return 0 if {"test": test, "demo": demo}[task]() else 1


if __name__ == "__main__":
    sys.exit(main())
