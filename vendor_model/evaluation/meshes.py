"""Pairs of mesh files: `NAME.pred.<glb|ply|obj>` beside `NAME.true.<glb|ply|obj>`, both in one frame.

Files need not agree in their format: glTF, which is y up, is turned to z up first.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh

from vendor_model.errors import UserError
from vendor_model.evaluation.clouds import Cloud, cloud
from vendor_model.evaluation.comparison import layout_figures, shape_figures
from vendor_model.evaluation.registration import align, unit_box
from vendor_model.layout.frames import OBJECT_TO_GLB

FORMATS = (".glb", ".ply", ".obj")


def evaluate(folder: Path) -> Iterator[dict]:
    """One record a pair, as `subjects.evaluate` gives them without mask and rotation; the category is NAME.

    Raises UserError when there is no pair, when a partner is missing, or a file is no mesh.
    """
    names = sorted(
        path.name[: -len(".true") - 4] for kind in FORMATS for path in folder.glob(f"*.true{kind}")
    )
    if not names:
        raise UserError(f"{folder} holds no NAME.true.glb, .ply or .obj: put predictions and truths into it.")
    for name in names:
        predicted, truth = (read_cloud(_file(folder, f"{name}.{side}")) for side in ("pred", "true"))
        yield {
            "kind": "meshes",
            "category": name,
            "visible": 1.0,
            "symmetric": False,
            "failed": False,
            "shape": shape_figures(predicted, align(predicted, truth), truth),
            "shape_without_icp": shape_figures(predicted, unit_box(predicted.vertices), truth),
            "layout": layout_figures(predicted, np.eye(4), truth, np.eye(4)),
        }


def read_cloud(path: Path) -> Cloud:
    """All triangles of a file, z up. Raises UserError when there are none."""
    try:
        mesh = trimesh.load(path, force="mesh")
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    except Exception as error:  # each of trimesh's readers has its own for a damaged file
        raise UserError(f"{path} cannot be read ({error}): export the mesh again.") from None
    if not len(faces):
        raise UserError(f"{path} has no triangles: export the mesh again.")
    return cloud(vertices @ OBJECT_TO_GLB.T if path.suffix == ".glb" else vertices, faces)


def _file(folder: Path, stem: str) -> Path:
    found = [folder / (stem + kind) for kind in FORMATS if (folder / (stem + kind)).exists()]
    if len(found) != 1:
        raise UserError(f"{folder} has {len(found)} files {stem}.glb, .ply or .obj where one is wanted.")
    return found[0]
