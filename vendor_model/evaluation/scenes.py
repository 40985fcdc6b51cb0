"""Rendered photos with true meshes, poses, depth and camera, one folder each.

A folder holds `photo.png`; `depth.npz` (depth: (H, W) along the camera's axis, NaN where nothing is);
`camera.json` (fx, fy, cx, cy in pixels and camera_to_world_cv, 4 x 4, OpenCV axes, for columns);
`objects.json` with `objects`, each with kind, mask and mesh (file names), matrix_world (4 x 4, mesh to world,
for columns), visible_fraction, symmetry and symmetry_rotations_wxyz; `mask_<k>.png` (0 or 255); and
`mesh_<k>.npz` (vertices, faces).
"""

import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vendor_model.errors import UserError
from vendor_model.evaluation.subjects import KnownPhoto, Subject
from vendor_model.layout.frames import CAMERA_TO_OPENCV, points_from_depth

DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a scene raises when a file of it is missing or is not what it should be."""


def known_photos(folders: Sequence[Path]) -> Iterator[KnownPhoto]:
    """Every scene among the folders and right below them, in the order of their names.

    One of which a file is missing or damaged is named and left out. Raises UserError when none is left.
    """
    found = 0
    for folder in scene_folders(folders):
        try:
            known = read_scene(folder)
        except DAMAGE as error:
            print(f"{folder} is not a complete scene ({error}) and is left out.", file=sys.stderr)
            continue
        found += 1
        yield known
    if not found:
        raise UserError(f"{', '.join(map(str, folders))} holds no complete scene: render them again.")


def scene_folders(folders: Sequence[Path]) -> list[Path]:
    """The scenes among the folders and right below them, sorted. Raises UserError when there is none."""
    scenes = sorted({path.parent for folder in folders for path in _records(folder)})
    if not scenes:
        raise UserError(
            f"{', '.join(map(str, folders))} holds no scene: name folders with an objects.json in or below."
        )
    return scenes


def _records(folder: Path) -> list[Path]:
    return [*folder.glob("objects.json"), *folder.glob("*/objects.json")]


def read_scene(folder: Path) -> KnownPhoto:
    """One folder. Raises one of `DAMAGE` for what is missing or damaged."""
    camera = json.loads((folder / "camera.json").read_text(encoding="utf-8"))
    from_world = np.linalg.inv(np.array(camera["camera_to_world_cv"]))
    to_camera = np.eye(4)
    to_camera[:3, :3] = CAMERA_TO_OPENCV
    subjects = []
    for record in json.loads((folder / "objects.json").read_text(encoding="utf-8"))["objects"]:
        with np.load(folder / record["mesh"], allow_pickle=False) as mesh:
            vertices, faces = mesh["vertices"], mesh["faces"].astype(np.int32)
        symmetric = record["symmetry"] != "none" or len(record["symmetry_rotations_wxyz"]) > 1
        placement = (to_camera @ from_world @ np.array(record["matrix_world"])).T
        mask = np.asarray(Image.open(folder / record["mask"]).convert("L")) > 127
        subjects.append(
            Subject(record["kind"], mask, record["visible_fraction"], symmetric, vertices, faces, placement)
        )
    intrinsics = np.array([[camera["fx"], 0, camera["cx"]], [0, camera["fy"], camera["cy"]], [0, 0, 1]])
    with np.load(folder / "depth.npz", allow_pickle=False) as arrays:
        points = points_from_depth(arrays["depth"], intrinsics)
    rgb = np.array(Image.open(folder / "photo.png").convert("RGB"))
    return KnownPhoto("rendered", rgb, float(camera["fx"]), points, tuple(subjects))
