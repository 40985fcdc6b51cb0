"""The artist's journey: load the sample photo, click its objects, look, reconstruct, look, undo, cancel."""

import json
import os
import sys
import time
from pathlib import Path

import bpy
from mathutils import Euler

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import hands  # noqa: E402
import marking  # noqa: E402

from tools import extension  # noqa: E402

OUTPUT = Path(sys.argv[sys.argv.index("--") + 1])
SAMPLES = ROOT / "samples"
TAB = "SAM 3D"
RECONSTRUCTION_SECONDS = 400
CANCEL_SECONDS = 3
LONGEST_BLOCK_SECONDS = 1.0


def meshes() -> list[str]:
    return sorted(obj.name for obj in bpy.context.scene.objects if obj.type == "MESH" and obj.sam3d.prompt)


def reconstruct(actions) -> hands.Steps:
    """Start it and wait; Blender must go on drawing meanwhile."""
    with hands.inside(hands.area("IMAGE_EDITOR")):
        bpy.ops.sam3d.reconstruct("INVOKE_DEFAULT")
    assert actions.is_reconstructing()
    deadline = time.monotonic() + RECONSTRUCTION_SECONDS
    longest, last = 0.0, time.monotonic()
    while actions.is_reconstructing() or not meshes():
        yield 0.05
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        assert now < deadline, f"no objects after {RECONSTRUCTION_SECONDS} s"
        assert not actions.reconstruction.job.error, actions.reconstruction.job.error
    crowd = max(1.0, os.getloadavg()[0] / os.cpu_count())
    print(f"Blender stood still for {longest:.2f} s at most, {crowd:.1f} processes to a core", flush=True)
    assert longest < LONGEST_BLOCK_SECONDS * crowd


def cancel(actions) -> hands.Steps:
    before = meshes()
    with hands.inside(hands.area("IMAGE_EDITOR")):
        bpy.ops.sam3d.reconstruct("INVOKE_DEFAULT")
    yield 0.5
    assert actions.is_reconstructing()
    yield from hands.screenshot(OUTPUT / "progress.png")
    began = time.monotonic()
    yield from hands.key("ESC", *marking.place_of(512, 30))
    crowd = max(1.0, os.getloadavg()[0] / os.cpu_count())
    yield from hands.wait_until(lambda: not actions.is_reconstructing(), CANCEL_SECONDS * crowd)
    print(f"cancelled after {time.monotonic() - began:.2f} s", flush=True)
    yield 0.5
    assert meshes() == before


def look_at_scene() -> hands.Steps:
    """Two 3D views side by side: through the photo's camera, and from aside."""
    aside = hands.area("IMAGE_EDITOR")
    with hands.inside(aside):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    yield 0.5
    through_camera = hands.biggest_areas(2)[1]
    for view in (through_camera, aside):
        view.type = "VIEW_3D"
        view.spaces.active.overlay.show_floor = False
    yield 0.5
    with hands.inside(through_camera):
        bpy.ops.sam3d.view_through_camera()
        bpy.ops.view3d.view_center_camera()
    yield from hands.show_tab(aside, TAB)
    yield 0.5
    with hands.inside(aside):
        bpy.ops.object.select_all(action="DESELECT")  # Blender begins with its cube selected
    for name in meshes():
        bpy.data.objects[name].select_set(True)
    aside.spaces.active.region_3d.view_perspective = "PERSP"
    aside.spaces.active.region_3d.view_rotation = Euler((1.15, 0.0, 0.75)).to_quaternion()
    with hands.inside(aside):
        bpy.ops.view3d.view_selected()
    yield 1.0
    with hands.inside(aside):
        bpy.ops.object.select_all(action="DESELECT")
    yield 1.0
    yield from hands.screenshot(OUTPUT / "scene.png")


def set_the_table() -> hands.Steps:
    """Blender as it starts, cube and all, but without its timeline; the largest area an Image Editor."""
    bpy.context.preferences.system.use_region_overlap = False
    with hands.inside(hands.area("DOPESHEET_EDITOR")):
        bpy.ops.screen.area_close()
    yield 0.5
    hands.area("VIEW_3D").type = "IMAGE_EDITOR"
    yield 0.5


def journey() -> hands.Steps:
    package = extension.install()
    actions = sys.modules[f"{package.__name__}.actions"]
    clicks = json.loads((SAMPLES / "clicks.json").read_text())
    yield from set_the_table()
    editor = hands.area("IMAGE_EDITOR")
    bpy.ops.sam3d.load_photo(filepath=str(SAMPLES / clicks["photo"]))
    yield from hands.show_tab(editor, TAB)
    with hands.inside(editor):
        bpy.ops.image.view_all(fit_view=True)
    yield 0.5
    yield from marking.click_objects(clicks, SAMPLES / "masks")
    yield from hands.screenshot(OUTPUT / "panel.png")
    yield from marking.undo_and_redo_a_click(list(clicks["objects"])[-1])
    yield from marking.exclude_and_undo("snowman", (627, 120), (610, 460))
    yield from marking.correct_by_hand("toadstool", SAMPLES / "masks", OUTPUT)
    yield from marking.look_closer("snowman", OUTPUT)
    yield from reconstruct(actions)
    assert meshes() == sorted(clicks["objects"])
    yield from cancel(actions)
    yield from look_at_scene()
    print("The whole journey went well", flush=True)


hands.run(journey())
