"""From photo and clicks to objects in the scene, through the operators, with the worker of boxes."""

import bpy
import numpy as np
import pytest
from box_worker import COLOR, DEPTH
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from tools import pictures

HEIGHT, WIDTH = 96, 128
CLICK = (30, 40)


@pytest.fixture
def scene(sam3d, photo_file, mask_file):
    """Two objects reconstructed: one clicked at CLICK, one by the mask file."""
    assert bpy.ops.sam3d.load_photo(filepath=str(photo_file)) == {"FINISHED"}
    bpy.ops.sam3d.add_object(name="cup")
    assert bpy.ops.sam3d.add_click(x=CLICK[0], y=CLICK[1]) == {"FINISHED"}
    assert bpy.ops.sam3d.add_mask(filepath=str(mask_file)) == {"FINISHED"}
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    return bpy.context.scene


def seen_at(scene, point: Vector) -> np.ndarray:
    """(column, row) in the photo of a point in the world, through the scene's camera."""
    bpy.context.view_layer.update()
    u, v, _ = world_to_camera_view(scene, scene.camera, point)
    return np.array([u * WIDTH, (1 - v) * HEIGHT])


def test_every_object_stands_where_the_photo_shows_it(scene):
    for name, middle in (("cup", CLICK), ("lamp", (95, 50))):
        made = scene.objects[name]
        np.testing.assert_allclose(seen_at(scene, made.matrix_world.translation), middle, atol=0.01)
        assert (made.matrix_world.translation - scene.camera.location).y == pytest.approx(DEPTH, abs=1e-5)


def test_the_pose_is_the_objects_own_transform(scene):
    made = scene.objects["lamp"]
    corners = np.array([vertex.co for vertex in made.data.vertices])
    np.testing.assert_allclose(np.abs(corners), np.tile([0.25, 0.2, 0.3], (8, 1)), atol=1e-6)
    np.testing.assert_allclose(made.scale, 40 / WIDTH * DEPTH, rtol=1e-6)
    assert made.matrix_world.to_quaternion().angle > 0.5


def test_both_objects_and_the_camera_share_one_collection(scene):
    [collection] = scene.collection.children
    assert collection.name == "a photo"
    assert {obj.name for obj in collection.objects if obj.type == "MESH"} == {"cup", "lamp"}
    assert scene.camera.name in collection.objects


def test_the_camera_carries_the_photo(scene):
    [background] = scene.camera.data.background_images
    assert background.image == scene.sam3d.photo
    assert scene.camera.data.show_background_images
    assert (scene.render.resolution_x, scene.render.resolution_y) == (WIDTH, HEIGHT)


def test_colours_show_in_a_render_without_further_ado(scene, tmp_path):
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(tmp_path / "render.png")
    bpy.ops.render.render(write_still=True)
    pixel = pictures.read(tmp_path / "render.png")[50, 95]
    assert pixel[3] == 1
    assert pixel[0] > 0.15
    assert pixel[0] > 2 * pixel[1]


def test_the_light_of_an_empty_scene_falls_on_what_the_camera_sees(scene):
    [sun] = [obj for obj in scene.objects if obj.type == "LIGHT"]
    shines = sun.matrix_world.to_quaternion() @ Vector((0, 0, -1))
    looks = scene.camera.matrix_world.to_quaternion() @ Vector((0, 0, -1))
    assert shines.dot(looks) > 0.7  # under brims and caps too
    assert shines.z < -0.3


def test_vertex_colours_are_what_the_model_gave(scene):
    colors = scene.objects["cup"].data.color_attributes.active_color
    assert np.allclose([entry.color_srgb[:3] for entry in colors.data], COLOR, atol=1 / 255)


def test_running_again_changes_nothing_that_the_artist_touched(scene):
    cup = scene.objects["cup"]
    cup.location.x += 0.5
    kept = cup.matrix_basis.copy(), cup.data.name
    bpy.ops.sam3d.reconstruct()
    assert (cup.matrix_basis, cup.data.name) == kept
    assert sum(obj.type == "MESH" for obj in scene.objects) == 2


def test_running_again_renews_what_nobody_touched(scene):
    bpy.ops.sam3d.reconstruct()
    assert sorted(obj.name for obj in scene.objects if obj.type == "MESH") == ["cup", "lamp"]


def test_clicks_and_objects_survive_saving(scene, tmp_path):
    path = str(tmp_path / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=path)
    prompts = bpy.context.scene.sam3d.photo.sam3d.prompts
    assert [prompt.name for prompt in prompts] == ["cup", "lamp"]
    assert (prompts["cup"].clicks[0].x, prompts["cup"].clicks[0].y) == CLICK
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert sum(obj.type == "MESH" for obj in bpy.context.scene.objects) == 2


def test_an_object_of_which_nothing_came_costs_the_others_nothing(scene, capfd):
    prompts = scene.sam3d.photo.sam3d.prompts
    kept = next(obj for obj in scene.objects if obj.name == "cup").data.name
    scene.sam3d.seed = 98
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert "No shape was found" in prompts["cup"].message and not prompts["lamp"].message
    assert "cup: No shape was found" in capfd.readouterr().out
    assert scene.objects["cup"].data.name == kept and scene.objects["lamp"].sam3d.seed == 98
    scene.sam3d.seed = 7
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"} and not prompts["cup"].message


def test_cancelling_leaves_the_scene_as_it_was(sam3d, scene):
    actions, session = sam3d("actions"), sam3d("session")
    before = {obj.name: obj.matrix_basis.copy() for obj in scene.objects}
    scene.sam3d.seed = 99
    job = actions.start_reconstruction().job
    bpy.ops.sam3d.cancel()
    session.wait(job)
    with pytest.raises(sam3d("core.errors").ArtistError, match="cancelled"):
        actions.finish_reconstruction()
    assert {obj.name: obj.matrix_basis for obj in scene.objects} == before
