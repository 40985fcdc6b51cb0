"""Facts that stand in more than one file, because each is read by another program, agree."""

import tomllib
from pathlib import Path

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


def test_zip_has_both_rooms_and_no_training_code():
    names = build_addon.shipped_names()
    assert {"sam3d_blender/__init__.py", "vendor_model/protocol.py", "vendor_model/requirements.txt"} <= set(
        names
    )
    assert not [name for name in names if "training" in name or "__pycache__" in name]
