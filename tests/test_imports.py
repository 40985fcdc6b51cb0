"""Who may import whom: read from the source, so that it also holds for modules that no test imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLENDER_SIDE = "sam3d_blender"
MODEL_SIDE = "vendor_model"
DOOR = "sam3d_blender.worker"
"""The one module of the Blender side that may import from the model side, and there only the protocol."""

OUTSIDE_BLENDER = {
    "torch",
    "torchvision",
    "transformers",
    "scipy",
    "safetensors",
    "PIL",
    "huggingface_hub",
    "yaml",
}
SOCKETS = {"socket", "socketserver", "http.server", "asyncio", "xmlrpc"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Dotted names of everything that the file imports, at any depth; relative names made absolute.

    `from a import b` counts as `a.b`: b may be a module.
    """
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def offenders(folder: str, forbidden: set[str], *, except_for: tuple[str, ...] = ()) -> list[str]:
    """Lines "module imports name" for every file under `folder` that imports something forbidden."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        if any(within(module_name(path), module) for module in except_for):
            continue
        for name in sorted(imports(path)):
            if any(within(name, module) for module in forbidden):
                found.append(f"{module_name(path)} imports {name}")
    return found


def test_there_is_something_to_check():
    assert imports(ROOT / MODEL_SIDE / "types.py") >= {"numpy", "dataclasses.dataclass"}


def test_blender_side_imports_no_model_package():
    assert offenders(BLENDER_SIDE, OUTSIDE_BLENDER) == []


def test_model_side_imports_nothing_of_blender():
    assert offenders(MODEL_SIDE, {"bpy", "mathutils", "gpu", "bmesh", BLENDER_SIDE}) == []


def test_the_protocol_is_the_only_door():
    crossing = {
        (module_name(path), name)
        for path in (ROOT / BLENDER_SIDE).rglob("*.py")
        for name in imports(path)
        if MODEL_SIDE in name.split(".")
    }
    assert {module for module, _ in crossing} == {DOOR}
    assert all(within(name, f"{MODEL_SIDE}.protocol") for _, name in crossing)


def test_model_package_imports_next_to_nothing():
    """Blender's Python runs it too, for the protocol's sake."""
    assert imports(ROOT / "vendor_model/__init__.py") == {"os"}


def test_protocol_needs_only_the_standard_library():
    names = imports(ROOT / MODEL_SIDE / "protocol.py")
    assert not [name for name in names if within(name, MODEL_SIDE)]
    assert not [name for name in names if name.split(".")[0] in OUTSIDE_BLENDER | {"numpy"}]


@pytest.mark.parametrize("folder", ["sam3d_blender/core", "sam3d_blender/worker"])
def test_core_and_worker_client_run_without_blender(folder):
    assert offenders(folder, {"bpy", "gpu", "bmesh", "sam3d_blender.scene", "sam3d_blender.actions"}) == []


def test_scene_knows_nothing_of_the_worker():
    assert offenders("sam3d_blender/scene", {"sam3d_blender.worker", "sam3d_blender.actions"}) == []


def test_what_an_artist_does_knows_nothing_of_how_it_is_shown():
    drawing = {"sam3d_blender.ui"}
    assert offenders("sam3d_blender", drawing, except_for=(*drawing, "sam3d_blender.registration")) == []


def test_product_imports_neither_training_nor_evaluation():
    training = {f"{MODEL_SIDE}.training", f"{MODEL_SIDE}.evaluation"}
    assert offenders(MODEL_SIDE, training, except_for=tuple(training)) == []


def test_models_know_nothing_of_the_stages_above_them():
    above = {f"{MODEL_SIDE}.{name}" for name in ("pipeline", "worker", "protocol", "__main__")}
    for folder in ("models", "sparse", "surface", "layout"):
        assert offenders(f"{MODEL_SIDE}/{folder}", above) == []


def test_nobody_opens_a_socket():
    assert offenders(BLENDER_SIDE, SOCKETS) == []
    assert offenders(MODEL_SIDE, SOCKETS) == []
