"""Objects that nobody clicked: proposed, kept or dropped, and which segmenter is asked."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from test_bad_input import refusal
from test_panels import Paper

QUARTERS = ((24, 32), (24, 96), (72, 32), (72, 96))
"""(row, column) in the middle of what the worker of boxes finds."""


@pytest.fixture
def photo(sam3d, photo_file):
    bpy.ops.sam3d.load_photo(filepath=str(photo_file))
    return bpy.context.scene.sam3d.photo.sam3d


@pytest.fixture
def preferences(sam3d, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    preferences = sam3d("properties").preferences()
    yield preferences
    for name in ("segmenter", "segmenter_folder"):
        preferences.property_unset(name)


def names(photo, proposed=True) -> list[str]:
    return [prompt.name for prompt in photo.prompts if prompt.is_proposal == proposed]


def drawn(sam3d, draw, *arguments) -> list[str]:
    paper = Paper()
    draw(paper, *arguments)
    return paper.notes


def test_found_objects_are_proposals_with_masks(sam3d, photo):
    assert bpy.ops.sam3d.find_objects() == {"FINISHED"}
    assert len(names(photo)) == 4 and photo.active_index == 0
    shapes = photo.shapes()
    for prompt, place in zip(photo.prompts, QUARTERS, strict=True):
        assert shapes[prompt.uuid].mask[place] and shapes[prompt.uuid].area == 40 * 56
    notes = drawn(sam3d, sam3d("ui.finding_panel").draw_proposals, photo)
    assert notes[0] == "4 proposed" and {"Keep All", "Drop All"} <= set(notes)


def test_a_text_finds_what_it_names(photo):
    assert bpy.ops.sam3d.find_objects(text=" chair ") == {"FINISHED"}
    assert names(photo) == ["chair 1"]


def test_only_what_is_kept_is_reconstructed(photo):
    bpy.ops.sam3d.find_objects()
    assert "keep those that you want" in refusal(bpy.ops.sam3d.reconstruct)
    first, second, *others = names(photo)
    assert bpy.ops.sam3d.keep_proposals(object=second) == {"FINISHED"}
    assert bpy.ops.sam3d.drop_proposals(object=first) == {"FINISHED"}
    assert names(photo) == others and names(photo, proposed=False) == [second]
    assert bpy.ops.sam3d.reconstruct() == {"FINISHED"}
    assert [obj.name for obj in bpy.context.scene.objects if obj.type == "MESH"] == [second]


def test_all_are_kept_or_dropped_at_once(photo):
    bpy.ops.sam3d.find_objects()
    bpy.ops.sam3d.keep_proposals(every=True)
    assert len(names(photo, proposed=False)) == 4
    assert "no proposal" in refusal(bpy.ops.sam3d.drop_proposals, every=True)
    assert "“Object 1” is not a proposal" in refusal(bpy.ops.sam3d.drop_proposals)
    assert len(photo.prompts) == 4


def test_the_active_proposal_is_kept_or_dropped_whatever_it_is_called(photo):
    bpy.ops.sam3d.find_objects()
    for prompt in photo.prompts:
        prompt.name = ""
    photo.active_index = 1
    dropped = photo.active.uuid
    bpy.ops.sam3d.drop_proposals()
    bpy.ops.sam3d.keep_proposals()
    assert len(photo.prompts) == 3 and dropped not in {prompt.uuid for prompt in photo.prompts}
    assert len(names(photo, proposed=False)) == 1


def test_dropping_proposals_leaves_an_object_of_the_same_name(photo):
    bpy.ops.sam3d.add_object(name="cup")
    bpy.ops.sam3d.find_objects()
    for prompt in photo.prompts:
        prompt.name = "cup"
    bpy.ops.sam3d.drop_proposals(every=True)
    assert [prompt.is_proposal for prompt in photo.prompts] == [False]


def test_another_search_renews_proposals_and_leaves_objects(photo):
    bpy.ops.sam3d.find_objects()
    bpy.ops.sam3d.keep_proposals(object=names(photo)[0])
    [kept] = names(photo, proposed=False)
    assert bpy.ops.sam3d.find_objects() == {"FINISHED"}
    assert names(photo, proposed=False) == [kept]
    assert len(names(photo)) == 3  # not the one that is kept again
    assert "No new “chair” was found" in refusal(bpy.ops.sam3d.find_objects, text="chair")
    assert len(names(photo)) == 3


def test_a_proposal_takes_no_pixels_from_an_object(photo):
    bpy.ops.sam3d.set_box(box=(0, 0, 128, 90))
    [whole] = names(photo, proposed=False)
    before = photo.shapes()[photo.prompts[whole].uuid].area
    bpy.ops.sam3d.find_objects()
    assert photo.shapes()[photo.prompts[whole].uuid].area == before
    bpy.ops.sam3d.keep_proposals(every=True)
    assert photo.shapes()[photo.prompts[whole].uuid].area < before


def test_nothing_found_is_said_and_nothing_is_lost(photo):
    bpy.ops.sam3d.add_click(x=30, y=40)
    assert "No new “nothing” was found" in refusal(bpy.ops.sam3d.find_objects, text="nothing")
    assert len(photo.prompts) == 1


def test_a_search_can_be_given_up(sam3d, photo):
    finding, session = sam3d("finding"), sam3d("session")
    job = finding.start_finding("for ever")
    assert finding.is_finding() and "already" in refusal(bpy.ops.sam3d.find_objects)
    assert "operator sam3d.cancel_finding" in drawn(
        sam3d, lambda paper: sam3d("ui.panels").draw_progress(paper, job, "sam3d.cancel_finding")
    )
    assert bpy.ops.sam3d.cancel_finding() == {"FINISHED"}
    session.wait(job)
    with pytest.raises(sam3d("core.errors").ArtistError, match="cancelled"):
        finding.finish_finding()
    assert len(photo.prompts) == 0 and not finding.is_finding()


@pytest.fixture
def in_window(sam3d, monkeypatch):
    """`in_window(text)`: the operator's part as a window drives it, with what it reports in `reports`."""
    operators, finding = sam3d("ui.operators"), sam3d("finding")
    monkeypatch.setattr(operators, "bpy", SimpleNamespace(app=SimpleNamespace(background=False)))

    def begin(text):
        def report(self, kind, sentence):
            self.reports.append(sentence)

        parts = {
            "bl_label": "Find Objects",
            "reports": [],
            "report": report,
            "start": lambda self: finding.start_finding(text),
            "finish": lambda self: finding.finish_finding(),
        }
        return type("Operator", (operators.RunsJob,), parts)()

    return begin


def drive(sam3d, operator, first_event):
    """Invoke an operator and feed it events, timers after the first one, until it ends."""
    timers = []
    manager = SimpleNamespace(
        event_timer_add=lambda step, window: timers.append(step) or len(timers),
        event_timer_remove=lambda timer: timers.pop(),
        modal_handler_add=lambda operator: None,
    )
    context = SimpleNamespace(window_manager=manager, window=None)
    outcome, event = operator.invoke(context, None), first_event
    while outcome & {"RUNNING_MODAL", "PASS_THROUGH"}:
        sam3d("session")._tick()
        outcome = operator.modal(context, SimpleNamespace(type=event, value="PRESS"))
        event = "TIMER"
    assert timers == []
    return outcome


def test_in_a_window_the_search_goes_on_until_it_is_over(sam3d, photo, in_window):
    assert drive(sam3d, in_window(""), "MOUSEMOVE") == {"FINISHED"}
    assert len(names(photo)) == 4


def test_in_a_window_escape_gives_the_search_up(sam3d, photo, in_window):
    operator = in_window("for ever")
    assert drive(sam3d, operator, "ESC") == {"CANCELLED"}
    assert operator.reports == ["Find Objects cancelled"] and len(photo.prompts) == 0


def test_in_a_window_a_failure_is_reported(sam3d, photo, in_window):
    operator = in_window("nothing")
    assert drive(sam3d, operator, "TIMER") == {"CANCELLED"}
    assert "No new “nothing” was found" in operator.reports[0]


def test_search_needs_a_photo(sam3d):
    with pytest.raises(sam3d("core.errors").ArtistError, match="no photo yet"):
        sam3d("finding").find_objects()


def test_the_best_segmenter_that_is_there_is_used(sam3d, preferences):
    releases, segmenter = sam3d("worker.releases"), sam3d("session").segmenter
    names = list(releases.segmenters())
    assert (names[0], names[-1]) == ("sam2.1-tiny", "sam3")
    assert preferences.segmenter == "best" and segmenter() == ""
    for name in ("sam2.1-small", "sam2.1-tiny", "sam3"):
        folder = releases.segmenters()[name].folder
        folder.mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (folder / file).touch()
    assert segmenter() == str(releases.segmenters()["sam2.1-small"].folder)
    preferences.segmenter = "sam3"
    assert segmenter() == str(releases.segmenters()["sam3"].folder)
    preferences.segmenter = "sam2.1-large"
    assert segmenter() == ""
    preferences.segmenter = "embedded"
    assert segmenter() == ""
    preferences.segmenter, preferences.segmenter_folder = "folder", "facebook/sam2.1-hiera-tiny"
    assert segmenter() == "facebook/sam2.1-hiera-tiny"


def test_licence_and_size_of_a_segmenter_are_shown_before_its_download(sam3d, preferences):
    draw = sam3d("ui.segmenter_panel").draw_segmenter
    assert drawn(sam3d, draw, preferences) == ["prop segmenter"]
    preferences.segmenter = "sam3"
    notes = drawn(sam3d, draw, preferences)
    assert "SAM 3, by Meta: 3.5 GB, SAM License" in notes
    assert {"prop token", "operator sam3d.download_model", "Read and Accept"} <= set(notes)
    preferences.segmenter = "sam2.1-tiny"
    notes = drawn(sam3d, draw, preferences)
    assert "SAM 2.1 Tiny, by Meta: 0.2 GB, Apache 2.0" in notes and "prop token" not in notes


def test_clicks_go_to_the_chosen_segmenter(sam3d, photo, preferences, monkeypatch):
    asked = []
    client = sam3d("session").client()
    segment = client.segment
    monkeypatch.setattr(
        client, "segment", lambda *arguments: asked.append(arguments[-1]) or segment(*arguments)
    )
    preferences.segmenter, preferences.segmenter_folder = "folder", "/models/sam"
    assert bpy.ops.sam3d.add_click(x=30, y=40) == {"FINISHED"}
    assert asked == ["/models/sam"]
    assert np.argwhere(photo.shapes()[photo.prompts[0].uuid].mask).size
