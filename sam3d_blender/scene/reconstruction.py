"""A finished reconstruction becomes a scene: collection, camera, light, objects."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import bpy
import numpy as np

from ..core.frames import object_transform
from . import objects, touched
from .camera import match_camera, moved_by
from .collections import collection_of
from .materials import show_vertex_colors


class PosedSurface(Protocol):
    """A mesh in the object frame with its pose, as `worker.jobs.ReconstructedObject` has them."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    scale: np.ndarray
    mask_iou: float


class Part(NamedTuple):
    """One object to write. prompt: uuid of what it was asked for with, name: what to call it, mask: see
    `SAM3D_PG_object`."""

    prompt: str
    name: str
    mask: str
    surface: PosedSurface


def write_reconstruction(
    scene: bpy.types.Scene,
    photo: bpy.types.Image,
    parts: Sequence[Part],
    intrinsics: np.ndarray,
    seed: int,
    replace: bool = False,
) -> list[bpy.types.Object]:
    """Write the objects and the camera of a photo into the scene; the objects, in the order of the parts.

    An object of an earlier run is updated in place while nobody has touched it; one that the artist
    has worked on stays, and the new one is added beside it, unless `replace`. One that is in Edit Mode or
    another mode of its own stays in any case: Blender gives it no other mesh.
    """
    collection = collection_of(scene, photo)
    farthest = max(part.surface.translation[2] + part.surface.scale.max() for part in parts)
    _evaluate(scene)  # where objects stand that a script has just put there
    camera = match_camera(scene, collection, photo, intrinsics, farthest)
    _ensure_light(scene, collection)
    _evaluate(scene)
    follow = moved_by(camera)
    is_first = not any(obj.type == "MESH" and obj.sam3d.photo for obj in scene.objects)
    written = [_write_object(scene, collection, photo, part, follow, seed, replace) for part in parts]
    _evaluate(scene)
    for obj in written:
        touched.seal(obj)
    if is_first:
        show_vertex_colors()
    return written


def results_of(scene: bpy.types.Scene, photo: bpy.types.Image, prompt: str) -> list[bpy.types.Object]:
    """Every object in the scene that was reconstructed for the photo's prompt, oldest first as far as names
    tell."""
    made = (obj for obj in scene.objects if obj.type == "MESH" and obj.sam3d.photo == photo)
    return [obj for obj in made if obj.sam3d.prompt == prompt]


def is_finished_by_hand(scene: bpy.types.Scene, photo: bpy.types.Image, prompt: str, mask: str) -> bool:
    """Whether the artist has worked on all that was made for the prompt, of this very mask."""
    made = results_of(scene, photo, prompt)
    return any(obj.sam3d.mask == mask for obj in made) and all(touched.is_touched(obj) for obj in made)


def _write_object(scene, collection, photo, part, follow, seed, replace) -> bpy.types.Object:
    surface = part.surface
    centre = objects.centre_of(surface.vertices)
    mesh = objects.build_mesh(part.name, surface.vertices - centre, surface.faces, surface.colors)
    earlier = results_of(scene, photo, part.prompt)
    replaceable = [
        obj for obj in earlier if obj.mode == "OBJECT" and (replace or not touched.is_touched(obj))
    ]
    if replaceable:
        obj = replaceable[-1]
        old_mesh, obj.data = obj.data, mesh
        objects.remove_mesh(old_mesh)
        mesh.name = part.name
        mesh.materials[0].name = part.name
        if not re.fullmatch(re.escape(part.name) + r"(\.\d+)?", obj.name):
            obj.name = part.name
    else:
        obj = bpy.data.objects.new(part.name, mesh)
        collection.objects.link(obj)
    pose = object_transform(surface.rotation, surface.translation, surface.scale)
    objects.set_transform(obj, objects.moved_origin(pose, centre), follow)
    record = obj.sam3d
    record.prompt, record.mask, record.photo = part.prompt, part.mask, photo
    record.seed, record.mask_iou = seed, surface.mask_iou
    return obj


def _evaluate(scene: bpy.types.Scene) -> None:
    """Bring the matrices of the scene's objects up to date, also where no window shows the scene."""
    for layer in scene.view_layers:
        layer.update()


def _ensure_light(scene: bpy.types.Scene, collection: bpy.types.Collection) -> None:
    """Add a sun from behind the camera's shoulder to a scene that would render black.

    It stands low: the colours are as the photo shows them, with its light and shade, and what a high sun
    shades again comes out dull.
    """
    if scene.world or any(obj.type == "LIGHT" for obj in scene.objects):
        return
    data = bpy.data.lights.new(f"{collection.name} Sun", "SUN")
    data.energy = 3.0
    data.angle = 0.2
    sun = bpy.data.objects.new(data.name, data)
    sun.rotation_euler = (1.05, 0.0, -0.4)
    collection.objects.link(sun)
