"""A job of the worker as Blender's side sees it, and the results it can have."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from . import protocol


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class PhotoInfo:
    """Size of the upright photo in pixels; focal_px is None when the file does not tell it."""

    height: int
    width: int
    focal_px: float | None


@dataclass(frozen=True)
class FoundObject:
    """An object that nobody clicked. mask: (H, W) bool; score: 0..1, how sure the segmenter is."""

    mask: np.ndarray
    score: float


@dataclass(frozen=True)
class ReconstructedObject:
    """One object: mesh in the object frame, pose into the camera frame (see `vendor_model.types`).

    vertices: (V, 3) float32; faces: (F, 3) int32; colors: (V, 3) float32 sRGB; rotation: (4,) wxyz;
    translation, scale: (3,), all three float64; mask_iou: 0..1.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    scale: np.ndarray
    mask_iou: float


@dataclass(frozen=True)
class ReconstructedScene:
    """All objects of a photo, one for each mask, None where nothing came of it.

    intrinsics: (3, 3) float64 in pixels, OpenCV axes; seconds: per stage, over all objects; peak_memory: of
    the worker, in bytes.
    """

    objects: tuple[ReconstructedObject | None, ...]
    intrinsics: np.ndarray
    height: int
    width: int
    seconds: dict[str, float]
    peak_memory: int


@dataclass(eq=False)
class Job:
    """A request on its way. Changed only by the client's `poll`; read it at any time.

    stage: a key of `protocol.STAGES`; fraction: of the stage, 0..1; message: words for the panel;
    notice: a sentence on how the job goes on, such as with less memory, '' when there is none;
    result: set when done; error: a sentence for the artist, with its kind, set when failed.
    """

    id: int
    make_request: Callable[[Path], object]
    state: JobState = JobState.QUEUED
    stage: str = ""
    fraction: float = 0.0
    message: str = "Waiting"
    notice: str = ""
    result: object = None
    error: str = ""
    kind: protocol.ErrorKind | None = None
    folder: Path | None = None
    cancel_before: float | None = None
    _began: float | None = None
    _ended: float | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)

    @property
    def is_awaited(self) -> bool:
        """Whether a result may still come of it."""
        return not self.is_over and self.cancel_before is None

    @property
    def elapsed(self) -> float:
        """Seconds since the job began, or that it took."""
        if self._began is None:
            return 0.0
        return (self._ended or time.monotonic()) - self._began

    def begin(self) -> None:
        self.state = JobState.RUNNING
        self._began = time.monotonic()

    def advance(self, progress: protocol.Progress) -> None:
        self.stage, self.fraction = progress.stage, progress.fraction
        if self.cancel_before is None:
            self.message = protocol.STAGES.get(progress.stage, progress.stage)

    def end(self, state: JobState, message: str) -> None:
        self.state, self.message = state, message
        self._ended = time.monotonic()


def read_result(event: object) -> object:
    """The result that an event tells of, with its arrays read from the job's folder.

    Raises OSError or ValueError when an array file is unreadable.
    """
    match event:
        case protocol.PhotoLoaded():
            return PhotoInfo(event.height, event.width, event.focal_px)
        case protocol.Segmented():
            return read_array(event.mask)
        case protocol.ObjectsFound():
            return [
                FoundObject(read_array(mask), score)
                for mask, score in zip(event.masks, event.scores, strict=True)
            ]
        case protocol.Reconstructed():
            return ReconstructedScene(
                tuple(files and _read_object(files) for files in event.objects),
                np.array(event.intrinsics, np.float64),
                event.height,
                event.width,
                event.seconds,
                event.peak_memory,
            )
        case protocol.ModelObtained():
            return Path(event.path)
        case protocol.WorkerStatus():
            return event
    raise TypeError(f"{type(event).__name__} is no result")


def _read_object(files: protocol.ObjectFiles) -> ReconstructedObject:
    return ReconstructedObject(
        read_array(files.vertices),
        read_array(files.faces),
        read_array(files.colors),
        np.array(files.rotation, np.float64),
        np.array(files.translation, np.float64),
        np.array(files.scale, np.float64),
        files.mask_iou,
    )


def read_array(path: str) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def write_array(folder: Path, name: str, array: np.ndarray) -> str:
    """Write an array into a job's folder and return the file's path as messages carry it."""
    path = folder / f"{name}.npy"
    np.save(path, array, allow_pickle=False)
    return str(path)
