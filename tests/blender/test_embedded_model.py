"""The whole path with nothing replaced: sample photo, clicks and a mask, the real worker, mini, the scene."""

import json
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def test_sample_photo_becomes_a_scene(embedded_model, tmp_path):
    clicks = json.loads((SAMPLES / "clicks.json").read_text())
    assert bpy.ops.sam3d.load_photo(filepath=str(SAMPLES / clicks["photo"])) == {"FINISHED"}
    bpy.ops.sam3d.add_object(name="toadstool")
    for x, y in clicks["objects"]["toadstool"]["positive"]:
        assert bpy.ops.sam3d.add_click(x=x, y=y) == {"FINISHED"}
    assert bpy.ops.sam3d.add_mask(filepath=str(SAMPLES / "masks" / "bottle.png")) == {"FINISHED"}
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}

    scene = bpy.context.scene
    bpy.context.view_layer.update()
    toadstool, bottle = scene.objects["toadstool"], scene.objects["bottle"]
    for made, (left, right, top, bottom) in (
        (toadstool, (235, 480, 380, 610)),
        (bottle, (800, 930, 255, 560)),
    ):
        u, v, depth = world_to_camera_view(scene, scene.camera, made.matrix_world.translation)
        assert left < u * 1024 < right and top < (1 - v) * 768 < bottom and depth > 0
        assert made.sam3d.mask_iou > 0.5
        assert len(made.data.polygons) > 500
        assert max(abs(c) for corner in made.bound_box for c in corner) <= 0.5
        colors = np.empty(len(made.data.vertices) * 4, np.float32)
        made.data.color_attributes[0].data.foreach_get("color", colors)
        assert colors.reshape(-1, 4)[:, :3].std() > 0.01
    assert scene.sam3d.peak_memory_mb < 2000
    assert not list(Path(bpy.app.tempdir).glob("sam3d*"))
