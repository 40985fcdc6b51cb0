"""The worker's handlers: what they keep between jobs, and what they hand to the model and back."""

import dataclasses
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from vendor_model import protocol, worker
from vendor_model.errors import Cancelled
from vendor_model.serving import JobProgress
from vendor_model.types import PointMap, Pose, Reconstruction, Surface
from vendor_model.worker import ModelJobs

INTRINSICS = np.array([[5.0, 0, 2], [0, 5, 1.5], [0, 0, 1]])
SURFACE = Surface(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), np.ones((3, 3), np.float32))
POSE = Pose(np.array([1.0, 0, 0, 0]), np.array([0.0, 0, 2]), np.full(3, 1.5))


class RecordingPipeline:
    """Stands in for `Pipeline`; calls: what it was asked to do."""

    device = "cpu"
    modes: ClassVar[list[str]] = []
    """Of the next ones, which are high where none is left."""
    loads = 0

    def __init__(self):
        self.calls = []
        self.models = SimpleNamespace(mode=self.modes.pop(0) if self.modes else "high")

    @classmethod
    def load(cls, folder, device="auto", memory=None, notify=None):
        cls.last = cls()
        cls.loads += 1
        cls.memory = memory
        return cls.last

    def set_photo(self, photo, progress, known_depth=None):
        progress("depth", 0.0)
        told = photo.focal_px, None if known_depth is None else known_depth.tolist()
        self.calls.append(("set_photo", photo.size, *[one for one in told if one is not None]))
        return SimpleNamespace(point_map=PointMap(np.zeros((*photo.size, 3), np.float32), INTRINSICS))

    def reconstruct(self, scene, masks, seed, progress, refine_layout, preset):
        progress("geometry", 0.0)
        if self.memory:
            self.notify("Memory ran out.")
        self.calls.append(("reconstruct", [mask.sum() for mask in masks], seed, refine_layout, preset))
        return [Reconstruction(SURFACE, None, POSE, 0.5) if mask.any() else None for mask in masks]


class RecordingSegmenter:
    photos = 0
    loaded: ClassVar[list[str]] = []

    exhausted: ClassVar[dict[str, int]] = {}
    """How often memory runs out in a method."""

    def __init__(self, model):
        self.loaded.append(model)

    def set_photo(self, rgb):
        type(self).photos += 1
        self.need_memory("set_photo")
        self.shape = rgb.shape[:2]

    def need_memory(self, method):
        if self.exhausted.get(method):
            self.exhausted[method] -= 1
            raise MemoryError

    def find_objects(self, text, progress):
        self.need_memory("find_objects")
        progress("objects", 0.5)
        return [SimpleNamespace(mask=np.ones(self.shape, bool), score=0.5)] * len(text)

    def mask(self, points, labels, box=None):
        self.need_memory("mask")
        mask = np.zeros(self.shape, bool)
        for (x, y), label in zip(points.astype(int), labels, strict=True):
            mask[y, x] = label
        return mask


@pytest.fixture
def jobs(monkeypatch):
    for name, contents in {
        "pipeline": {"Pipeline": RecordingPipeline},
        "segmentation.segmenters": {"load_segmenter": RecordingSegmenter},
    }.items():
        module = ModuleType(f"vendor_model.{name}")
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    RecordingSegmenter.photos = 0
    RecordingSegmenter.loaded.clear()
    return ModelJobs(Path("mini"))


def pixels(folder, key, height=3, width=4):
    path = folder / "photo.npy"
    np.save(path, np.zeros((height, width, 3), np.uint8))
    return protocol.PhotoFile(str(path), key)


def run(jobs, request, cancelled=()):
    events = []
    progress = JobProgress(request.job, set(cancelled), events.append)
    return jobs.handlers()[type(request)](request, progress), events


def reconstruct(folder, key, preset=None, memory=None, **size):
    photo = pixels(folder, key, **size)
    mask = folder / "mask_0.npy"
    np.save(mask, np.ones((3, 4), bool))
    return protocol.Reconstruct(
        1, str(folder), photo, (str(mask),), seed=7, refine_layout=False, preset=preset, memory=memory
    )


def test_reconstruction_is_written_into_the_jobs_folder(jobs, tmp_path):
    event, progress = run(jobs, reconstruct(tmp_path, "a"))
    assert protocol.decode(protocol.encode(event)) == event
    files = event.objects[0]
    assert Path(files.vertices).parent == tmp_path
    np.testing.assert_array_equal(np.load(files.faces), SURFACE.faces)
    assert files.scale == (1.5, 1.5, 1.5) and files.mask_iou == 0.5
    assert np.array_equal(event.intrinsics, INTRINSICS) and (event.height, event.width) == (3, 4)
    assert [one.stage for one in progress] == ["photo", "model", "depth", "geometry"] == list(event.seconds)
    assert RecordingPipeline.last.calls[1] == ("reconstruct", [12], 7, False, None)


def test_an_object_of_which_nothing_came_has_no_files(jobs, tmp_path):
    request = reconstruct(tmp_path, "a")
    np.save(tmp_path / "nothing.npy", np.zeros((3, 4), bool))
    masks = (str(tmp_path / "nothing.npy"), *request.masks)
    event, _ = run(jobs, dataclasses.replace(request, masks=masks))
    assert event.objects[0] is None and event.objects[1].mask_iou == 0.5
    assert protocol.decode(protocol.encode(event)) == event


def test_depth_of_the_same_photo_is_measured_once(jobs, tmp_path):
    run(jobs, reconstruct(tmp_path, "a"))
    run(jobs, reconstruct(tmp_path, "a"))
    assert [call[0] for call in RecordingPipeline.last.calls] == ["set_photo", "reconstruct", "reconstruct"]
    run(jobs, reconstruct(tmp_path, "b", height=6))
    assert RecordingPipeline.last.calls[3] == ("set_photo", (6, 4))


def test_another_depth_or_lens_is_another_scene_and_the_same_is_not(jobs, tmp_path):
    np.save(tmp_path / "depth.npy", np.full((1, 1), 2, np.float32))
    plain = reconstruct(tmp_path, "a")
    measured = dataclasses.replace(plain, depth=protocol.DepthFile(str(tmp_path / "depth.npy"), "d"))
    through_lens = dataclasses.replace(measured, focal_px=50.0)
    for request in (plain, measured, measured, through_lens, through_lens, plain):
        run(jobs, request)
    scenes = [call[2:] for call in RecordingPipeline.last.calls if call[0] == "set_photo"]
    assert scenes == [(), ([[2.0]],), (50.0, [[2.0]]), ()]


def test_model_is_loaded_anew_for_another_memory_mode_and_its_notices_are_sent(jobs, tmp_path):
    run(jobs, reconstruct(tmp_path, "a"))
    first = RecordingPipeline.last
    _, events = run(jobs, reconstruct(tmp_path, "a", "draft", "low"))
    assert RecordingPipeline.last is not first and RecordingPipeline.memory == "low"
    assert RecordingPipeline.last.calls[-1][-1] == "draft"
    assert protocol.Notice(1, "Memory ran out.") in events
    second = RecordingPipeline.last
    run(jobs, reconstruct(tmp_path, "a", memory="low"))
    assert RecordingPipeline.last is second


def test_segmenter_looks_at_a_photo_once(jobs, tmp_path):
    for key in "aab":
        request = protocol.Segment(2, str(tmp_path), pixels(tmp_path, key), ((3.0, 1.0),), (True,))
        event, _ = run(jobs, request)
        assert np.argwhere(np.load(event.mask)).tolist() == [[1, 3]]
    assert RecordingSegmenter.photos == 2 and RecordingSegmenter.loaded == [""]


def test_the_embedded_segmenter_leaves_cores_to_blender(jobs, tmp_path, monkeypatch):
    left = []
    monkeypatch.setattr(worker, "_leave_cores_to_blender", lambda: left.append(True))
    request = protocol.Segment(2, str(tmp_path), pixels(tmp_path, "a"), ((3.0, 1.0),), (True,))
    run(jobs, request)
    assert left


def test_segmenter_stays_loaded_until_another_is_asked_for(jobs, tmp_path):
    for model, key in ("", "a"), ("sam", "a"), ("sam", "b"), ("sam", "b"):
        request = protocol.Segment(
            2, str(tmp_path), pixels(tmp_path, key), ((3.0, 1.0),), (True,), segmenter=model
        )
        run(jobs, request)
    assert RecordingSegmenter.loaded == ["", "sam"] and RecordingSegmenter.photos == 3


def segment(folder, model: str):
    return protocol.Segment(2, str(folder), pixels(folder, "a"), ((3.0, 1.0),), (True,), segmenter=model)


@pytest.mark.parametrize("model", ["", "sam"])
def test_a_large_segmenter_makes_room_for_a_model_that_does_not_fit_beside_it(jobs, tmp_path, model):
    run(jobs, segment(tmp_path, model))
    RecordingPipeline.modes[:] = ["low", "medium"]
    run(jobs, reconstruct(tmp_path, "a"))
    assert RecordingPipeline.last.models.mode == ("medium" if model else "low")
    run(jobs, segment(tmp_path, model))
    assert RecordingSegmenter.loaded == ([model, model] if model else [""])
    RecordingPipeline.modes.clear()


def test_a_segmenter_stays_beside_a_model_that_fits(jobs, tmp_path):
    for request in (segment(tmp_path, "sam"), reconstruct(tmp_path, "a"), segment(tmp_path, "sam")):
        run(jobs, request)
    assert RecordingSegmenter.loaded == ["sam"]


def test_a_model_that_ran_out_of_memory_stays_in_its_smaller_mode(jobs, tmp_path):
    for request in (segment(tmp_path, "sam"), reconstruct(tmp_path, "a")):
        run(jobs, request)
    first, loads = RecordingPipeline.last, RecordingPipeline.loads
    first.models.mode = "medium"
    for request in (segment(tmp_path, "sam"), reconstruct(tmp_path, "a")) * 2:
        run(jobs, request)
    assert RecordingPipeline.last is first and RecordingPipeline.loads == loads
    assert RecordingSegmenter.loaded == ["sam"] * 2


def test_a_chosen_mode_is_loaded_once(jobs, tmp_path):
    run(jobs, segment(tmp_path, "sam"))
    RecordingPipeline.modes[:], loads = ["low"], RecordingPipeline.loads
    run(jobs, reconstruct(tmp_path, "a", memory="low"))
    assert RecordingPipeline.loads == loads + 1 and jobs._segmenter is None


@pytest.mark.parametrize("method", ["set_photo", "mask", "find_objects"])
def test_a_model_makes_room_for_a_segmenter_where_memory_runs_out(jobs, tmp_path, method, monkeypatch):
    request = segment(tmp_path, "sam")
    if method == "find_objects":
        request = protocol.FindObjects(3, str(tmp_path), pixels(tmp_path, "a"), "ab", "sam")
    run(jobs, reconstruct(tmp_path, "a"))
    first = RecordingPipeline.last
    monkeypatch.setattr(RecordingSegmenter, "exhausted", {method: 1})
    run(jobs, request)
    assert RecordingSegmenter.loaded == ["sam", "sam"]
    run(jobs, reconstruct(tmp_path, "a"))
    assert RecordingPipeline.last is not first and RecordingPipeline.last.calls[0][0] == "set_photo"


def test_memory_that_runs_out_with_nothing_to_give_way_is_an_error(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(RecordingSegmenter, "exhausted", {"mask": 1})
    with pytest.raises(MemoryError):
        run(jobs, segment(tmp_path, "sam"))


def test_found_objects_are_written_one_file_each(jobs, tmp_path):
    request = protocol.FindObjects(3, str(tmp_path), pixels(tmp_path, "a"), "ab", "sam")
    event, progress = run(jobs, request)
    assert [np.load(path).sum() for path in event.masks] == [12, 12] and event.scores == (0.5, 0.5)
    assert [one.stage for one in progress] == ["photo", "model", "segment", "objects"]
    assert set(event.masks) == {str(tmp_path / "mask_0.npy"), str(tmp_path / "mask_1.npy")}


def test_size_of_the_photo_is_told_without_the_model(jobs, tmp_path):
    event, _ = run(jobs, protocol.LoadPhoto(3, str(tmp_path), pixels(tmp_path, "a")))
    assert event == protocol.PhotoLoaded(3, 3, 4, None)
    status, _ = run(jobs, protocol.Status(4, str(tmp_path)))
    assert status.model is None and status.peak_memory > 2**20


def test_cancelled_job_stops_at_its_next_stage(jobs, tmp_path):
    with pytest.raises(Cancelled):
        run(jobs, reconstruct(tmp_path, "a"), cancelled={1})


def test_seconds_of_a_stage_add_up_over_objects(monkeypatch):
    now = iter([0.0, 0.0, 1.0, 3.0, 6.0])
    monkeypatch.setattr("vendor_model.serving.time.monotonic", lambda: next(now))
    progress = JobProgress(1, set(), lambda event: None)
    for stage in ("geometry", "texture", "geometry"):
        progress(stage, 0.0)
    assert progress.seconds() == {"geometry": 1.0 + 3.0, "texture": 2.0}
