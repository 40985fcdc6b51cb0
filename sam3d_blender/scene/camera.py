"""The camera that took the photo: its lens, the photo behind the scene, and the render that matches."""

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from ..core.frames import CAMERA_ROTATION_EULER, SENSOR_WIDTH, camera_lens
from . import touched

SOLIDS = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
"""Types of object that can hide others."""

SET = 8.0
"""Times the farthest object: how large a set is at least."""

CLIP = 4.0
"""Times the farthest object, to where the camera sees at least: depth may come in millimetres."""

DISPLAY = 0.15
"""Of the way to the farthest object: how large a new camera is drawn."""


def camera_of(scene: bpy.types.Scene, photo: bpy.types.Image) -> bpy.types.Object | None:
    """The photo's camera in the scene, if there is one."""
    for obj in scene.objects:
        if obj.type == "CAMERA" and obj.sam3d.photo == photo:
            return obj
    return None


def match_camera(
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
    photo: bpy.types.Image,
    intrinsics: np.ndarray,
    farthest: float,
) -> bpy.types.Object:
    """The photo's camera with its intrinsics (3, 3), made when it is not there.

    Its place is the artist's; its lens too, once they have changed it. farthest: distance that it must show.
    A new camera becomes the scene's own only where the scene has none, or one of another photo; with
    it the render takes the photo's resolution (`look_through` does both for any scene).
    """
    camera = camera_of(scene, photo)
    is_new = camera is None
    if is_new:
        camera = _new_camera(collection, photo, _free_place(scene, farthest))
        camera.data.display_size = DISPLAY * farthest
    data, untouched = camera.data, is_new or not touched.is_touched(camera)
    if untouched or tuple(camera.sam3d.written_lens) == (data.lens, data.shift_x, data.shift_y):
        lens = camera_lens(intrinsics, *photo.size)
        data.lens, data.shift_x, data.shift_y = lens.lens, lens.shift_x, lens.shift_y
        camera.sam3d.written_lens = data.lens, data.shift_x, data.shift_y
        camera.sam3d.pixel_aspect = lens.pixel_aspect_y
    if untouched:
        touched.seal(camera)
    data.clip_end = max(data.clip_end, CLIP * farthest)
    if is_new and (scene.camera is None or scene.camera.sam3d.photo is not None):
        look_through(scene, camera)
    return camera


def look_through(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    """Make the photo's camera the scene's, and let a render have the photo's size and pixels.

    A size of the same shape that was chosen since is kept.
    """
    render, (width, height) = scene.render, camera.sam3d.photo.size
    has_its_shape = render.resolution_x * height == render.resolution_y * width
    if scene.camera != camera or not has_its_shape:
        render.resolution_x, render.resolution_y = width, height
        render.resolution_percentage = 100
    scene.camera = camera
    aspect = camera.sam3d.pixel_aspect
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1.0 / aspect), max(1.0, aspect)


def moved_by(camera: bpy.types.Object) -> Matrix:
    """Where the artist has taken the camera, as a rigid 4×4 matrix that its objects follow."""
    home = Matrix.LocRotScale(None, Euler(CAMERA_ROTATION_EULER), None)
    location, rotation, _ = camera.matrix_world.decompose()
    return Matrix.LocRotScale(location, rotation, None) @ home.inverted()


def _free_place(scene: bpy.types.Scene, farthest: float) -> Vector:
    """Where a new camera sees what stands up to `farthest` from it: the world's origin, or beside what stands
    around that, such as the cube of a new scene. What is large enough to hold it all is a set to stand in."""
    home, layer = Vector(), scene.view_layers[0]
    solids = (obj for obj in scene.objects if obj.type in SOLIDS and obj.visible_get(view_layer=layer))
    boxes = [[obj.matrix_world @ Vector(corner) for corner in obj.bound_box] for obj in solids]
    bounds = [
        (Vector(map(min, zip(*box, strict=True))), Vector(map(max, zip(*box, strict=True)))) for box in boxes
    ]
    around = [
        (low, high)
        for low, high in bounds
        if all(a <= 0 <= b for a, b in zip(low, high, strict=True)) and max(high - low) < SET * farthest
    ]
    if around:
        home.x = max(high.x for _, high in around) + farthest
    return home


def _new_camera(collection: bpy.types.Collection, photo: bpy.types.Image, place: Vector) -> bpy.types.Object:
    name = f"{collection.name} Camera"
    data = bpy.data.cameras.new(name)
    data.sensor_fit, data.sensor_width = "HORIZONTAL", SENSOR_WIDTH
    data.clip_start = 0.01
    data.show_background_images = True
    background = data.background_images.new()
    background.image = photo
    background.alpha = 1.0
    background.display_depth = "BACK"
    camera = bpy.data.objects.new(name, data)
    camera.location, camera.rotation_euler = place, CAMERA_ROTATION_EULER
    camera.sam3d.photo = photo
    collection.objects.link(camera)
    return camera
