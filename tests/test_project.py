"""Facts that stand in more than one file, because each is read by another program, agree."""

import tomllib
from pathlib import Path

from setuptools import find_packages

import build_addon

ROOT = Path(__file__).parent.parent


def read_toml(name: str) -> dict:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def test_manifest_and_project_have_one_version():
    assert read_toml("blender_manifest.toml")["version"] == read_toml("pyproject.toml")["project"]["version"]


def test_requirements_of_the_worker_are_those_of_the_project():
    lines = (ROOT / "vendor_model" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    shipped = {line for line in lines if line and not line.startswith("#")}
    assert shipped == set(read_toml("pyproject.toml")["project"]["optional-dependencies"]["model"])


def test_zip_has_both_rooms_and_nothing_that_only_developers_run():
    names = build_addon.shipped_names()
    assert {"sam3d_blender/__init__.py", "vendor_model/protocol.py", "vendor_model/requirements.txt"} <= set(
        names
    )
    for_developers = {"training", "evaluation", "benchmark", "__pycache__"}
    assert not [name for name in names if for_developers & set(name.split("/"))]


def test_both_rooms_install_as_packages_with_the_files_that_they_read():
    """As `pip install .` finds them: what setuptools is told, and what the zip carries."""
    told = read_toml("pyproject.toml")["tool"]["setuptools"]
    packages = set(find_packages(str(ROOT), include=told["packages"]["find"]["include"]))
    modules = {
        path.parent for room in ("sam3d_blender", "vendor_model") for path in (ROOT / room).rglob("*.py")
    }
    assert packages == {".".join(folder.relative_to(ROOT).parts) for folder in modules}
    patterns = told["package-data"]["vendor_model"]
    carried = {path for pattern in patterns for path in (ROOT / "vendor_model").glob(pattern)}
    read = {ROOT / name for name in build_addon.shipped_names() if name.startswith("vendor_model/")}
    assert {path for path in read if path.suffix != ".py"} <= carried
