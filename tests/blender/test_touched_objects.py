"""An object is renewed while nobody has worked on it, and kept beside the new one once somebody has."""

import bpy
import pytest


@pytest.fixture
def cup(sam3d, photo_file):
    """The name of a reconstructed object: Blender may replace the object itself."""
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.reconstruct()
    return bpy.data.objects["cup"]


def meshes() -> list[str]:
    return sorted(obj.name for obj in bpy.context.scene.objects if obj.type == "MESH")


def move(cup):
    cup.location.z += 0.01


def turn(cup):
    cup.rotation_quaternion.w += 0.01


def rename(cup):
    cup.name = "my cup"


def sculpt(cup):
    cup.data.vertices[0].co.x += 0.001


def paint(cup):
    cup.data.color_attributes.active_color.data[0].color_srgb = (0, 0, 1, 1)


def polish(cup):
    cup.data.materials[0].node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.1


def rewire(cup):
    tree = cup.data.materials[0].node_tree
    tree.links.remove(tree.links[0])


def dress(cup):
    cup.data.materials[0] = bpy.data.materials.new("Gold")


def subdivide(cup):
    cup.modifiers.new("Subdivision", "SUBSURF")


def follow_an_empty(cup):
    cup.parent = bpy.data.objects.new("Table", None)


def animate(cup):
    cup.keyframe_insert("location", frame=1)


def mark_a_seam(cup):
    cup.data.edges[0].use_seam = True


def mark_a_sharp_edge(cup):
    cup.data.edges[0].use_edge_sharp = True


def shade_flat(cup):
    cup.data.polygons[0].use_smooth = False


def group_vertices(cup):
    cup.vertex_groups.new(name="Rim")


def turn_by_delta(cup):
    cup.delta_rotation_quaternion = (0, 1, 0, 0)


def tilt_by_delta(cup):
    cup.delta_rotation_euler.x = 0.1


def stretch_by_delta(cup):
    cup.delta_scale.z = 2


EDITS = (
    move,
    turn,
    rename,
    sculpt,
    paint,
    polish,
    rewire,
    dress,
    subdivide,
    follow_an_empty,
    animate,
    mark_a_seam,
    mark_a_sharp_edge,
    shade_flat,
    group_vertices,
    turn_by_delta,
    tilt_by_delta,
    stretch_by_delta,
)


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_artist_did_is_noticed_and_kept(sam3d, cup, edit):
    touched = sam3d("scene.touched")
    assert not touched.is_touched(cup)
    edit(cup)
    assert touched.is_touched(cup)
    kept = touched.fingerprint(cup)
    with pytest.raises(RuntimeError, match="edited every object"):
        bpy.ops.sam3d.reconstruct()
    bpy.context.scene.sam3d.photo.sam3d.prompts["cup"].clicks[0].x = 80
    bpy.ops.sam3d.reconstruct()
    assert len(meshes()) == 2
    assert touched.fingerprint(cup) == kept


def test_an_edited_object_is_not_made_again_beside_a_new_one(sam3d, cup, capfd):
    move(cup)
    bpy.ops.sam3d.add_object(name="lid")
    bpy.ops.sam3d.add_click(x=32, y=40)  # takes pixels from the cup, whose own mask stays what it was
    bpy.ops.sam3d.reconstruct()
    assert meshes() == ["cup", "lid"]
    assert "Not made again, as you have edited them: cup" in capfd.readouterr().out


def test_a_copy_of_the_photo_leaves_what_the_photo_made_alone(cup):
    kept = cup.data
    copy = bpy.context.scene.sam3d.photo.copy()
    bpy.context.scene.sam3d.photo = copy
    bpy.ops.sam3d.reconstruct()
    assert cup.data == kept and len(meshes()) == 2


def test_a_renewed_object_takes_its_new_name_from_the_list(cup):
    bpy.context.scene.sam3d.photo.sam3d.prompts["cup"].name = "mug"
    bpy.ops.sam3d.reconstruct()
    assert meshes() == ["mug"]


@pytest.mark.parametrize("replace", [False, True])
def test_an_object_in_edit_mode_keeps_what_is_being_done_to_it(cup, replace):
    bpy.context.view_layer.objects.active = cup
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide()
    place = cup.location.copy()
    bpy.context.scene.sam3d.photo.sam3d.prompts["cup"].clicks[0].x = 80
    bpy.ops.sam3d.reconstruct(replace=replace)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(meshes()) == 2
    assert len(cup.data.vertices) > 8 and cup.location == place


def test_what_a_new_object_has_none_of_leaves_the_hash_as_it_is(sam3d, cup):
    """So that seals of files that know nothing of it hold."""
    touched = sam3d("scene.touched")
    facts = [*touched._object_facts(cup), *touched._data_facts(cup.data)]
    words = {fact for fact in facts if isinstance(fact, str)}
    assert not words & {"deltas", "vertex groups", "seams", "sharp edges", "smooth faces"}


def test_saving_loading_and_looking_is_no_edit(sam3d, cup, tmp_path):
    cup.select_set(True)
    cup.hide_viewport = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert not sam3d("scene.touched").is_touched(bpy.data.objects["cup"])


def test_replacing_when_asked_renews_the_edited_object_itself(cup):
    move(cup)
    moved = cup.location.copy()
    bpy.ops.sam3d.reconstruct(replace=True)
    assert meshes() == ["cup"]
    assert cup.location != moved


def test_renewing_leaves_no_orphans(cup):
    bpy.ops.sam3d.reconstruct()
    assert [mesh.name for mesh in bpy.data.meshes] == ["cup"]
    assert [material.name for material in bpy.data.materials] == ["cup"]


def test_a_camera_that_was_moved_stays_and_takes_its_objects_along(cup):
    camera = bpy.context.scene.camera
    in_camera = camera.matrix_world.inverted() @ cup.matrix_world
    camera.location = (3, -2, 1.5)
    camera.rotation_euler = (1.2, 0.1, 0.7)
    bpy.context.view_layer.update()
    bpy.ops.sam3d.reconstruct()
    assert tuple(camera.location) == (3, -2, 1.5)
    again = camera.matrix_world.inverted() @ cup.matrix_world
    for row, expected in zip(again, in_camera, strict=True):
        assert tuple(row) == pytest.approx(tuple(expected), abs=1e-5)


def test_another_photo_brings_its_own_collection_and_camera(sam3d, cup, photo_file, tmp_path):
    first = bpy.context.scene.camera
    other = tmp_path / "other.png"
    other.write_bytes(photo_file.read_bytes())
    bpy.ops.sam3d.load_photo(filepath=str(other))
    bpy.ops.sam3d.add_click(x=60, y=50)
    bpy.ops.sam3d.reconstruct()
    assert {collection.name for collection in bpy.context.scene.collection.children} == {"a photo", "other"}
    assert bpy.context.scene.camera != first
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    assert [prompt.name for prompt in bpy.context.scene.sam3d.photo.sam3d.prompts] == ["cup"]


def test_the_artists_own_camera_stays_the_scenes(sam3d, photo_file):
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    scene = bpy.context.scene
    scene.collection.objects.link(own)
    scene.camera, scene.render.resolution_x = own, 640
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.reconstruct()
    assert (scene.camera, scene.render.resolution_x) == (own, 640)
    bpy.ops.sam3d.view_through_camera()
    assert scene.camera.sam3d.photo == scene.sam3d.photo
    assert scene.render.resolution_x == 128
    scene.render.resolution_x, scene.render.resolution_y = 512, 384
    bpy.ops.sam3d.view_through_camera()
    assert scene.render.resolution_x == 512


@pytest.mark.parametrize(("size", "is_in_the_way"), [(2, True), (1000, False)])
def test_a_new_camera_stands_beside_the_cube_of_a_new_scene_and_within_a_set(
    sam3d, photo_file, size, is_in_the_way
):
    bpy.ops.mesh.primitive_cube_add(size=size)
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.reconstruct()
    camera = bpy.context.scene.camera
    assert (camera.location.x > 1) == is_in_the_way
    made = next(obj for obj in bpy.context.scene.objects if obj.type == "MESH" and obj.sam3d.photo)
    assert abs(made.location.x - camera.location.x) < 3
