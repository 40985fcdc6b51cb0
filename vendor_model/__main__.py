"""Photo and masks to a scene file, without Blender.

    python -m vendor_model photo.png --mask a.png --mask b.png --output scene.glb

A .glb holds one coloured mesh for each mask, under a node with its object transform; a .ply holds all
objects' Gaussian splats, centred, the largest extent being 1. Both are z up in their tools' sense, seen
from the photo's camera, which stands in the origin of the .glb.
"""

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from vendor_model.depth import preview
from vendor_model.errors import UserError, exit_in_words
from vendor_model.layout.frames import CAMERA_TO_Z_UP
from vendor_model.layout.transforms import matrix_to_quaternion, quaternion_conjugate, quaternion_multiply
from vendor_model.photo import read_mask, read_photo
from vendor_model.pipeline import Pipeline
from vendor_model.residency import MemoryMode
from vendor_model.surface.gaussian_scene import make_scene, normalize_scene, turn_z_up
from vendor_model.surface.glb import SceneMesh, encode_glb
from vendor_model.surface.ply import encode_ply, encode_point_cloud
from vendor_model.types import Reconstruction

MINI = Path(__file__).parent / "mini"


def scene_mesh(name: str, made: Reconstruction) -> SceneMesh:
    """An object in the z-up world whose camera looks along +y from the origin (spec layout.md §3.3)."""
    pose = made.pose
    to_world = matrix_to_quaternion(torch.from_numpy(CAMERA_TO_Z_UP.T.copy()).double())
    rotation = quaternion_multiply(to_world, quaternion_conjugate(torch.as_tensor(pose.rotation).double()))
    return SceneMesh(name, made.surface, rotation.numpy(), pose.translation @ CAMERA_TO_Z_UP, pose.scale)


SENSOR_MM = 36.0
"""What a lens is measured by: the width of the picture, as with the cameras that the add-on makes."""


def mesh_file(names: list[str], made: list[Reconstruction]) -> bytes:
    """The objects as binary glTF."""
    return encode_glb([scene_mesh(name, one) for name, one in zip(names, made, strict=True)])


def splat_file(names: list[str], made: list[Reconstruction]) -> bytes:
    """The objects' splats together as PLY; it has no place for names."""
    return encode_ply(turn_z_up(normalize_scene(make_scene((one.gaussians, one.pose) for one in made))))


ENCODERS = {".glb": mesh_file, ".ply": splat_file}
"""What an output file holds, by its suffix."""


def read_point_map(path: Path) -> np.ndarray:
    """Points (h, w, 3) or depth (h, w), float32, of a .npy file. Raises UserError."""
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"The point map '{path.name}' cannot be read ({error}): give a .npy file.") from None
    if not isinstance(points, np.ndarray):
        raise UserError(f"The point map '{path.name}' is a file of several arrays: give a .npy of one.")
    is_map = points.ndim == 2 or (points.ndim == 3 and points.shape[2] == 3)
    if not is_map or points.dtype.kind not in "fiu":
        raise UserError(
            f"The point map '{path.name}' is {points.dtype} of shape {points.shape}: "
            "give numbers (h, w, 3), or (h, w) for depth alone."
        )
    return points.astype(np.float32)


def run(arguments: argparse.Namespace) -> None:
    """Read, reconstruct, write; prints seconds per stage and each object's mask IoU."""
    suffix = arguments.output.suffix.lower()
    if suffix not in ENCODERS:
        raise UserError(f"The output ends in {suffix!r}: name a file that ends in {' or '.join(ENCODERS)}.")
    for path in filter(None, (arguments.output, arguments.points)):
        if not path.parent.is_dir():
            raise UserError(f"{path.name} cannot be written: make the folder {path.parent}, or name another.")
    photo = read_photo(arguments.photo)
    if arguments.lens is not None:
        if not arguments.lens > 0:
            raise UserError(f"A lens of {arguments.lens:g} mm sees nothing: give a focal length above zero.")
        photo = replace(photo, focal_px=arguments.lens / SENSOR_MM * photo.size[1])
    masks = [read_mask(path, photo.size) for path in arguments.mask]
    known_depth = None if arguments.point_map is None else read_point_map(arguments.point_map)
    seconds, current, started = {}, "model", time.perf_counter()

    def progress(stage: str, fraction: float) -> None:
        nonlocal current, started
        now = time.perf_counter()
        seconds[current] = seconds.get(current, 0.0) + now - started
        current, started = stage, now

    said = partial(print, file=sys.stderr)
    pipeline = Pipeline.load(arguments.model, arguments.device, arguments.memory, said)
    scene = pipeline.set_photo(photo, progress, known_depth)
    if arguments.points is not None:
        arguments.points.write_bytes(encode_point_cloud(*preview(scene.point_map.points, photo.rgb)))
    made = pipeline.reconstruct(
        scene, masks, arguments.seed, progress, arguments.refine_layout, arguments.preset
    )
    progress("write", 0.0)
    for path, one in zip(arguments.mask, made, strict=True):
        if one is None:
            said(f"Nothing came of {path.name}: mark more of the object, or try another seed.")
    names = [path.stem for path, one in zip(arguments.mask, made, strict=True) if one is not None]
    made = [one for one in made if one is not None]
    arguments.output.write_bytes(ENCODERS[suffix](names, made))
    progress("", 1.0)
    for name, one in zip(names, made, strict=True):
        faces = len(one.surface.faces)
        print(f"{name}: mask IoU {one.mask_iou:.2f}, {faces} triangles, size {np.mean(one.pose.scale):.3f}")
    print(", ".join(f"{stage} {value:.2f} s" for stage, value in seconds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vendor_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--mask", type=Path, action="append", required=True, help="once for each object")
    parser.add_argument("--output", type=Path, required=True, help="scene.glb or scene.ply")
    parser.add_argument("--model", type=Path, default=MINI, help="model folder (default: the embedded one)")
    parser.add_argument(
        "--point-map",
        type=Path,
        help="of your own: .npy, points (h, w, 3), x left, y up, z forward, or depth (h, w) along the axis",
    )
    parser.add_argument(
        "--lens",
        type=float,
        help="focal length in mm, the photo's width being 36 mm (default: the file's, or estimated)",
    )
    parser.add_argument("--points", type=Path, help="also write the photo's coloured point cloud, a .ply")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--preset", help="draft, standard or reference (default: as the model's configuration says)"
    )
    parser.add_argument(
        "--memory",
        type=MemoryMode,
        choices=list(MemoryMode),
        help="how much of the model stays loaded (default: by the memory that is free)",
    )
    parser.add_argument("--device", default="auto", help="cuda, mps or cpu (default: the best one here)")
    parser.add_argument(
        "--refine-layout",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="match poses to the masks afterwards (default: as the model's configuration says)",
    )
    with exit_in_words():
        run(parser.parse_args())


if __name__ == "__main__":
    main()
