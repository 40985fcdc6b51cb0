"""What the panels show, drawn onto a layout that writes down what it is given."""

import bpy
import pytest


class Paper:
    """Takes every call of a `UILayout`, and notes texts and operators."""

    def __init__(self, notes: list[str] | None = None):
        self.notes = [] if notes is None else notes

    def __getattr__(self, name):
        def element(*arguments, text="", **_):
            if name in ("operator", "prop", "template_ID", "template_list", "progress"):
                self.notes.append(
                    f"{name} {next((a for a in arguments[::-1] if isinstance(a, str)), '')}".strip()
                )
            if text:
                self.notes.append(text)
            return Paper(self.notes)

        return element


class Panel:
    def __init__(self):
        self.layout = Paper()


@pytest.fixture
def drawn(sam3d):
    """`drawn("PhotoPanel")`: the notes of a panel as it is now."""

    def draw(name: str) -> list[str]:
        panel = Panel()
        module = "ui.photo_panel" if name == "PhotoPanel" else "ui.panels"
        getattr(sam3d(module), name).draw(panel, bpy.context)
        return panel.layout.notes

    return draw


def test_without_a_photo_the_panel_says_what_to_do(drawn):
    assert "mark its objects in the Image Editor" in " ".join(drawn("PhotoPanel"))


def test_without_a_python_the_panel_offers_to_install_one(sam3d, drawn, monkeypatch):
    monkeypatch.setattr(sam3d("session"), "python", lambda: None)
    assert "operator sam3d.install_environment" in drawn("PhotoPanel")


def test_clicks_of_the_active_object_are_counted(photo, drawn):
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.add_click(x=34, y=40, positive=False)
    notes = drawn("PhotoPanel")
    assert "Clicks: 2" in notes
    assert "operator sam3d.remove_click" in notes


def test_a_mask_from_a_file_is_told_apart(photo, drawn, mask_file):
    bpy.ops.sam3d.add_mask(filepath=str(mask_file))
    assert "Mask from an image" in drawn("PhotoPanel")


def test_what_the_mask_is_made_of_can_be_taken_away(photo, drawn):
    bpy.ops.sam3d.set_box(box=(20, 30, 50, 50))
    bpy.ops.sam3d.brush(stroke="70,70", radius=6)
    notes = drawn("PhotoPanel")
    assert {"Box", "operator sam3d.remove_box", "Brush strokes", "operator sam3d.clear_brush"} <= set(notes)


def test_a_poor_mask_is_warned_of(photo, drawn):
    bpy.ops.sam3d.set_box(box=(0, 30, 10, 50))
    said = " ".join(drawn("PhotoPanel"))
    assert "Touches the edge of the photo" in said and "Only 200 pixels" in said


def test_what_an_object_leaves_to_smaller_ones_is_said(photo, drawn):
    bpy.ops.sam3d.set_box(box=(10, 10, 110, 80))
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.set_box(box=(10, 10, 40, 80))
    photo.sam3d.active_index = 0
    assert {"4 900 pixels", "2 100 pixels given to smaller objects"} <= set(drawn("PhotoPanel"))


def test_a_photo_that_changed_on_disk_can_be_loaded_again(photo, photo_file, drawn):
    assert "operator sam3d.load_photo" not in drawn("PhotoPanel")
    photo_file.write_bytes(photo_file.read_bytes() + b" ")
    notes = drawn("PhotoPanel")
    assert "operator sam3d.load_photo" in notes and "Load It Again" in notes


def test_a_photo_whose_file_is_missing_is_said_to_be(sam3d, photo, photo_file, drawn):
    bpy.ops.sam3d.add_click(x=30, y=40)
    photo_file.unlink()
    photo.reload()
    notes = drawn("PhotoPanel")
    assert "missing; put it back and load it again" in " ".join(notes) and "Load It Again" in notes
    item = sam3d("ui.photo_panel").SAM3D_UL_prompts.draw_item
    paper = Paper()
    item(None, bpy.context, paper, photo.sam3d, photo.sam3d.active, 0, photo.sam3d, "active_index")
    assert "prop name" in paper.notes


def test_icons_go_with_their_objects(sam3d, photo):
    thumbnails, shown = sam3d("ui.thumbnails"), set()
    for name in ("cup", "mug"):
        bpy.ops.sam3d.add_object(name=name)
        bpy.ops.sam3d.add_click(x=30, y=40)
    for prompt in list(photo.sam3d.prompts):
        thumbnails.icon(photo, prompt.uuid, photo.sam3d.shapes()[prompt.uuid])
        shown.add(prompt.uuid)
    assert shown <= set(thumbnails._drawn)
    bpy.ops.sam3d.remove_object()
    bpy.ops.sam3d.add_click(x=60, y=40)
    [left] = photo.sam3d.prompts
    thumbnails.icon(photo, left.uuid, photo.sam3d.shapes()[left.uuid])
    assert set(thumbnails._drawn) == set(thumbnails._previews) == {left.uuid}


def test_why_an_object_has_no_mask_is_said_in_full(photo, drawn):
    bpy.ops.sam3d.add_object(name="cup")
    sentence = "Nothing was found at the clicks; click in the middle of the object."
    photo.sam3d.prompts["cup"].message = sentence
    assert sentence in " ".join(drawn("PhotoPanel"))


def test_a_reconstruction_under_way_shows_its_stage_and_the_way_out(sam3d, photo, drawn):
    bpy.ops.sam3d.add_click(x=30, y=40)
    assert "operator sam3d.reconstruct" in drawn("ReconstructPanel")
    bpy.context.scene.sam3d.seed = 99
    actions, session = sam3d("actions"), sam3d("session")
    job = actions.start_reconstruction().job
    while not job.stage:
        session.client().poll()
    notes = drawn("ReconstructPanel")
    assert any(note.startswith("Shaping the object · 0:0") for note in notes)
    assert "operator sam3d.cancel" in notes
    assert "operator sam3d.reconstruct" not in notes
    actions.cancel()
    session.wait(job)


def test_a_notice_of_the_worker_stays_in_the_panel(sam3d, photo, drawn):
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.context.scene.sam3d.preset = "draft"
    sam3d("properties").preferences().memory = "low"
    bpy.ops.sam3d.reconstruct()
    assert "Memory ran out at draft." in drawn("ReconstructPanel")


def test_a_failure_stays_in_the_panel(sam3d, photo, drawn):
    bpy.ops.sam3d.add_click(x=30, y=40)
    actions, session = sam3d("actions"), sam3d("session")
    bpy.context.scene.sam3d.seed = 99
    job = actions.start_reconstruction().job
    while not job.stage:
        session.client().poll()
    session.client()._process.kill()
    session.wait(job)
    assert "stopped during the job" in " ".join(drawn("ReconstructPanel"))


def test_the_preferences_show_the_environment_and_the_python(sam3d):
    layout = Paper()
    sam3d("ui.panels").draw_environment(layout, sam3d("properties").preferences())
    assert "operator sam3d.install_environment" in layout.notes
    assert "prop python" in layout.notes and "prop memory" in layout.notes


def test_heavy_scenes_are_drawn_again_only_when_there_is_news(sam3d, monkeypatch):
    session, drawn = sam3d("session"), []
    monkeypatch.setattr(session, "redraw", lambda panels_alone: drawn.append(panels_alone))
    session._tick()
    session.follow(sam3d("worker.task").Task(lambda task: None).wait(), lambda task: None)
    session._tick()
    assert drawn == [True, False]


def test_the_view_turns_to_the_camera_from_the_image_editor_too(sam3d, photo):
    bpy.ops.sam3d.add_click(x=30, y=40)
    bpy.ops.sam3d.reconstruct()
    area = bpy.context.window_manager.windows[0].screen.areas[0]
    for other in bpy.context.window_manager.windows[0].screen.areas:
        other.type = "IMAGE_EDITOR"
    area.type = "VIEW_3D"
    area.spaces.active.region_3d.view_perspective = "PERSP"
    bpy.ops.sam3d.view_through_camera()
    assert area.spaces.active.region_3d.view_perspective == "CAMERA"
