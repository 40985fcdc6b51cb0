"""Render the sample photo and its true masks: four everyday objects on a floor, all modelled here.

    .venv/blender-5.0/bin/python samples/render_sample.py

Writes `toys.jpg`, `masks/<object>.png` (white where the object is seen, no anti-aliasing) and nothing else.
World: metres, z up, the floor is z = 0, the camera looks along +y and a little down.
"""

import math
from pathlib import Path

import bpy

# isort: split
import bmesh
import numpy as np
from mathutils import Matrix, Vector

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1024, 768
SAMPLES = 24
CAMERA_LENS_MM = 42
CAMERA_HEIGHT = 0.70
CAMERA_PITCH_DEGREES = 18


def material(name: str, color: tuple[float, float, float], roughness: float = 0.5) -> bpy.types.Material:
    """A plain surface; `color` is linear RGB."""
    made = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = roughness
    return made


def planks() -> bpy.types.Material:
    """Pale wooden boards, 12 cm wide."""
    made = material("Planks", (0.5, 0.35, 0.22), 0.55)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")
    bricks = nodes.new("ShaderNodeTexBrick")
    bricks.inputs["Color1"].default_value = (0.50, 0.36, 0.235, 1)
    bricks.inputs["Color2"].default_value = (0.43, 0.30, 0.19, 1)
    bricks.inputs["Mortar"].default_value = (0.22, 0.15, 0.10, 1)
    bricks.offset = 0.37
    bricks.inputs["Scale"].default_value = 1
    bricks.inputs["Mortar Size"].default_value = 0.0015
    bricks.inputs["Brick Width"].default_value = 0.9
    bricks.inputs["Row Height"].default_value = 0.12
    links.new(place.outputs["Object"], bricks.inputs["Vector"])
    links.new(bricks.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return made


def lathe(
    profile: list[tuple[float, float]], surface: bpy.types.Material, steps: int = 64
) -> bpy.types.Object:
    """A solid of revolution about z through (radius, height) points, from the axis to the axis, smoothed."""
    profile = np.asarray(profile, float)
    angles = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    vertices = np.concatenate([np.column_stack([radius * ring, np.full(steps, z)]) for radius, z in profile])
    faces = [
        (
            row * steps + k,
            row * steps + (k + 1) % steps,
            (row + 1) * steps + (k + 1) % steps,
            (row + 1) * steps + k,
        )
        for row in range(len(profile) - 1)
        for k in range(steps)
    ]
    mesh = bpy.data.meshes.new("Lathe")
    mesh.from_pydata(vertices.tolist(), [], faces)
    return finished(mesh, surface)


def ball(radius: float, centre: tuple[float, float, float], surface: bpy.types.Material) -> bpy.types.Object:
    mesh = bpy.data.meshes.new("Ball")
    shape = bmesh.new()
    bmesh.ops.create_uvsphere(shape, u_segments=48, v_segments=32, radius=radius)
    shape.to_mesh(mesh)
    shape.free()
    made = finished(mesh, surface)
    made.location = centre
    return made


def finished(mesh: bpy.types.Mesh, surface: bpy.types.Material) -> bpy.types.Object:
    shape = bmesh.new()
    shape.from_mesh(mesh)
    bmesh.ops.remove_doubles(shape, verts=shape.verts, dist=1e-6)
    bmesh.ops.recalc_face_normals(shape, faces=shape.faces)
    shape.to_mesh(mesh)
    shape.free()
    mesh.materials.append(surface)
    mesh.shade_smooth()
    made = bpy.data.objects.new(mesh.name, mesh)
    bpy.context.collection.objects.link(made)
    return made


def towards(direction: Vector) -> Matrix:
    """Turns z into `direction`."""
    return direction.to_track_quat("Z", "Y").to_matrix().to_4x4()


def joined(name: str, parts: list[bpy.types.Object], place: tuple[float, float], turn_degrees: float = 0):
    """One object of all parts, standing on the floor at `place`."""
    bpy.ops.object.select_all(action="DESELECT")
    for part in parts:
        part.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.join()
    whole = parts[0]
    whole.name = name
    whole.matrix_world = (
        Matrix.Translation((*place, 0))
        @ Matrix.Rotation(math.radians(turn_degrees), 4, "Z")
        @ whole.matrix_world
    )
    return whole


def toadstool(place):
    red = material("Cap", (0.62, 0.025, 0.02), 0.35)
    cream = material("Stem", (0.80, 0.70, 0.52), 0.6)
    stem = lathe(
        [(0, 0), (0.060, 0), (0.068, 0.012), (0.060, 0.05), (0.046, 0.10), (0.042, 0.16), (0, 0.16)], cream
    )
    angles = np.linspace(0, math.pi / 2, 14)
    dome = [(0.145 * math.cos(a), 0.145 + 0.115 * math.sin(a)) for a in angles]
    cap = lathe([(0, 0.138), (0.10, 0.132), (0.135, 0.134), *dome[:-1], (0, dome[-1][1])], red)
    spots = []
    for azimuth, height in (
        (-100, 25),
        (-50, 35),
        (-150, 40),
        (-75, 62),
        (10, 30),
        (60, 45),
        (130, 35),
        (170, 70),
    ):
        a, h = math.radians(azimuth), math.radians(height)
        on_cap = (
            0.145 * math.cos(h) * math.cos(a),
            0.145 * math.cos(h) * math.sin(a),
            0.145 + 0.115 * math.sin(h),
        )
        spot = ball(1, on_cap, cream)
        normal = Vector(
            (on_cap[0] / 0.145**2, on_cap[1] / 0.145**2, (on_cap[2] - 0.145) / 0.115**2)
        ).normalized()
        spot.matrix_world = (
            Matrix.Translation(on_cap) @ towards(normal) @ Matrix.Diagonal((0.024, 0.024, 0.006, 1))
        )
        spots.append(spot)
    return joined("toadstool", [cap, stem, *spots], place)


def bottle(place):
    green = material("Bottle", (0.012, 0.22, 0.10), 0.16)
    paper = material("Label", (0.85, 0.78, 0.58), 0.7)
    cork = material("Cork", (0.42, 0.24, 0.11), 0.8)
    shoulder = [
        (0.072 - 0.045 * (0.5 - 0.5 * math.cos(math.pi * t)), 0.20 + 0.075 * t) for t in np.linspace(0, 1, 12)
    ]
    neck = [(0.027, 0.335), (0.033, 0.337), (0.033, 0.357), (0.027, 0.360), (0, 0.360)]
    body = lathe([(0, 0), (0.060, 0), (0.068, 0.003), (0.072, 0.012), *shoulder, *neck], green)
    label = lathe([(0.070, 0.06), (0.0735, 0.0605), (0.0735, 0.1695), (0.070, 0.17)], paper)
    stopper = lathe([(0, 0.35), (0.022, 0.35), (0.024, 0.385), (0.022, 0.389), (0, 0.389)], cork)
    return joined("bottle", [body, label, stopper], place)


def stool(place):
    yellow = material("Seat", (0.80, 0.42, 0.02), 0.4)
    wood = material("Legs", (0.30, 0.13, 0.045), 0.5)
    rim = [
        (0.165 + 0.016 * math.cos(a), 0.284 + 0.016 * math.sin(a))
        for a in np.linspace(-math.pi / 2, math.pi / 2, 9)
    ]
    parts = [lathe([(0, 0.268), *rim, (0, 0.300)], yellow)]
    for k in range(4):
        a = math.radians(45 + 90 * k)
        foot = Vector((0.165 * math.cos(a), 0.165 * math.sin(a), 0))
        top = Vector((0.105 * math.cos(a), 0.105 * math.sin(a), 0.275))
        length = (top - foot).length
        leg = lathe([(0, 0), (0.016, 0), (0.019, 0.004), (0.022, length), (0, length)], wood)
        leg.matrix_world = Matrix.Translation(foot) @ towards(top - foot)
        parts.append(leg)
    return joined("stool", parts, place, 20)


def snowman(place):
    snow = material("Snow", (0.86, 0.88, 0.92), 0.7)
    black = material("Coal", (0.012, 0.012, 0.015), 0.5)
    orange = material("Carrot", (0.75, 0.18, 0.01), 0.5)
    blue = material("Scarf", (0.02, 0.10, 0.50), 0.8)
    parts = [ball(r, (0, 0, z), snow) for r, z in ((0.135, 0.122), (0.098, 0.305), (0.072, 0.435))]
    scarf = [
        (0.062 + 0.021 * math.cos(a), 0.378 + 0.019 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 17)
    ]
    parts.append(lathe(scarf, blue))
    parts.append(lathe([(0, 0.485), (0.092, 0.485), (0.094, 0.489), (0.092, 0.493), (0, 0.493)], black))
    parts.append(lathe([(0, 0.487), (0.060, 0.487), (0.060, 0.570), (0.056, 0.575), (0, 0.575)], black))
    nose = lathe([(0, 0), (0.017, 0), (0.012, 0.03), (0.004, 0.075), (0, 0.078)], orange)
    nose.matrix_world = Matrix.Translation((0, -0.066, 0.432)) @ towards(Vector((0.1, -1, -0.05)))
    eyes = [ball(0.0105, (x, -0.064, 0.458), black) for x in (-0.026, 0.026)]
    buttons = [ball(0.012, (0, y, z), black) for y, z in ((-0.096, 0.325), (-0.097, 0.285))]
    return joined("snowman", [*parts, nose, *eyes, *buttons], place, 14)


def room() -> None:
    floor_mesh = bpy.data.meshes.new("Floor")
    floor_mesh.from_pydata([(-4, -3, 0), (4, -3, 0), (4, 1.05, 0), (-4, 1.05, 0)], [], [(0, 1, 2, 3)])
    wall_mesh = bpy.data.meshes.new("Wall")
    wall_mesh.from_pydata([(-4, 1.05, 0), (4, 1.05, 0), (4, 1.05, 3), (-4, 1.05, 3)], [], [(0, 1, 2, 3)])
    board_mesh = bpy.data.meshes.new("Skirting")
    shape = bmesh.new()
    bmesh.ops.create_cube(
        shape, size=1, matrix=Matrix.Translation((0, 1.04, 0.045)) @ Matrix.Diagonal((8, 0.02, 0.09, 1))
    )
    shape.to_mesh(board_mesh)
    shape.free()
    wall = material("Wall", (0.10, 0.20, 0.27), 0.9)
    for mesh, surface in (
        (floor_mesh, planks()),
        (wall_mesh, wall),
        (board_mesh, material("Board", (0.05, 0.11, 0.16))),
    ):
        mesh.materials.append(surface)
        bpy.context.collection.objects.link(bpy.data.objects.new(mesh.name, mesh))


def area_light(name, place, aim, size, watts, color) -> None:
    light = bpy.data.lights.new(name, "AREA")
    light.size, light.energy, light.color = size, watts, color
    lamp = bpy.data.objects.new(name, light)
    lamp.location = place
    lamp.rotation_euler = (Vector(aim) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(lamp)


def light_and_camera() -> None:
    scene = bpy.context.scene
    area_light("Window", (-1.9, -1.1, 1.9), (0, 0.1, 0.1), 0.9, 66, (1.0, 0.94, 0.85))
    area_light("Fill", (2.2, -1.6, 1.3), (0, 0.2, 0.2), 2.0, 14, (0.85, 0.92, 1.0))
    scene.world = bpy.data.worlds.new("World")
    if bpy.app.version < (5, 0, 0):
        scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.9, 0.95, 1.0, 1)
    background.inputs["Strength"].default_value = 0.28
    camera = bpy.data.cameras.new("Camera")
    camera.lens, camera.sensor_width = CAMERA_LENS_MM, 36
    eye = bpy.data.objects.new("Camera", camera)
    eye.location = (0, -1.48, CAMERA_HEIGHT)
    eye.rotation_euler = (math.radians(90 - CAMERA_PITCH_DEGREES), 0, 0)
    bpy.context.collection.objects.link(eye)
    scene.camera = eye


def render_photo(path: Path) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform, scene.view_settings.exposure = "Standard", 0.3
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = 92
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def render_masks(objects: list[bpy.types.Object], folder: Path) -> None:
    """One exact sample at each pixel's centre: the object glows white, everything else is black."""
    scene = bpy.context.scene
    black, white = bpy.data.materials.new("Off"), bpy.data.materials.new("On")
    for surface, strength in ((black, 0.0), (white, 1.0)):
        if bpy.app.version < (5, 0, 0):
            surface.use_nodes = True
        nodes, links = surface.node_tree.nodes, surface.node_tree.links
        glow = nodes.new("ShaderNodeEmission")
        glow.inputs["Strength"].default_value = strength
        links.new(glow.outputs["Emission"], nodes["Material Output"].inputs["Surface"])
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.filter_width = 1, False, 0.01
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.use_adaptive_sampling = False
    scene.view_settings.view_transform, scene.view_settings.exposure = "Raw", 0
    scene.render.dither_intensity = 0
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "BW"
    scene.render.image_settings.compression = 100
    for mesh in bpy.data.meshes:
        for slot in range(len(mesh.materials)):
            mesh.materials[slot] = black
    for shown in objects:
        for slot in range(len(shown.data.materials)):
            shown.data.materials[slot] = white
        scene.render.filepath = str(folder / f"{shown.name}.png")
        bpy.ops.render.render(write_still=True)
        for slot in range(len(shown.data.materials)):
            shown.data.materials[slot] = black


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    room()
    objects = [
        stool((-0.43, 0.30)),
        toadstool((-0.185, -0.15)),
        snowman((0.16, 0.20)),
        bottle((0.46, -0.02)),
    ]
    light_and_camera()
    render_photo(FOLDER / "toys.jpg")
    render_masks(objects, FOLDER / "masks")
