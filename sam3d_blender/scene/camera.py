"""The camera that took the photo: its lens, the photo behind the scene, and the render that matches."""

import bpy
import numpy as np
from mathutils import Euler, Matrix

from ..core.frames import CAMERA_ROTATION_EULER, SENSOR_WIDTH, camera_lens
from . import touched

CLIP = 4.0
"""Times the farthest object, to where the camera sees at least: depth may come in millimetres."""


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
        camera = _new_camera(collection, photo)
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
    """Make the photo's camera the scene's, and let a render have the photo's size and pixels."""
    scene.camera = camera
    render = scene.render
    render.resolution_x, render.resolution_y = camera.sam3d.photo.size
    render.resolution_percentage = 100
    aspect = camera.sam3d.pixel_aspect
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1.0 / aspect), max(1.0, aspect)


def moved_by(camera: bpy.types.Object) -> Matrix:
    """Where the artist has taken the camera, as a rigid 4×4 matrix that its objects follow."""
    home = Matrix.LocRotScale(None, Euler(CAMERA_ROTATION_EULER), None)
    location, rotation, _ = camera.matrix_world.decompose()
    return Matrix.LocRotScale(location, rotation, None) @ home.inverted()


def _new_camera(collection: bpy.types.Collection, photo: bpy.types.Image) -> bpy.types.Object:
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
    camera.rotation_euler = CAMERA_ROTATION_EULER
    camera.sam3d.photo = photo
    collection.objects.link(camera)
    return camera
