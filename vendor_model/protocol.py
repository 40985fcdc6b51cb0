"""The one door between Blender and the worker process: every message that passes, and nothing else.

A message is one line of JSON. Requests go to the worker's standard input, events come from its
standard output; standard error is free text for people. Arrays never travel in a line: they lie as
.npy files (no pickle) in the job's folder, which the client makes and removes. Pixels count from
the top left corner, x to the right, y down.
"""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum

PROTOCOL_VERSION = 2

STAGES = {
    "model": "Loading the model",
    "photo": "Reading the photo",
    "segment": "Finding the object",
    "objects": "Looking for objects",
    "depth": "Measuring depth",
    "conditioning": "Looking at the object",
    "geometry": "Shaping the object",
    "texture": "Colouring the object",
    "surface": "Building the mesh",
    "refinement": "Matching the photo",
    "download": "Downloading the model",
    "convert": "Converting the model",
}
"""What a stage of a job is called in the panel."""


class ErrorKind(StrEnum):
    """Why a job failed, for a caller that reacts to it; the sentence is for the artist."""

    USER = "user"
    MEMORY = "memory"
    ENVIRONMENT = "environment"
    INTERNAL = "internal"


class ProtocolError(ValueError):
    """A line is no message of this protocol version."""


# Requests ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PhotoFile:
    """A photo that a request speaks of.

    path: an image file, or in the job's folder a .npy file of (H, W, 3) uint8 sRGB, upright.
    key: changes whenever the content does; the worker keeps what it derived from the last key.
    """

    path: str
    key: str


@dataclass(frozen=True)
class DepthFile:
    """What a scanner, a renderer or another model knows of a photo's depth, at any resolution.

    path: .npy file of (h, w) float32, depth along the camera's axis, or (h, w, 3) float32, points in the
    camera frame (x left, y up, z forward); not finite where unknown. key: changes whenever the content does.
    """

    path: str
    key: str


@dataclass(frozen=True)
class LoadPhoto:
    """Read the photo and keep it; answered by `PhotoLoaded`."""

    job: int
    folder: str
    photo: PhotoFile


@dataclass(frozen=True)
class Segment:
    """Turn clicks into a mask; answered by `Segmented`.

    points: (x, y) in pixels; labels: True for a click on the object, False beside it;
    box: (left, top, right, bottom) in pixels that the object lies in, or None;
    segmenter: folder or Hugging Face id of the weights to use, '' for the embedded segmenter.
    """

    job: int
    folder: str
    photo: PhotoFile
    points: tuple[tuple[float, float], ...]
    labels: tuple[bool, ...]
    box: tuple[float, float, float, float] | None = None
    segmenter: str = ""


@dataclass(frozen=True)
class FindObjects:
    """Find objects without clicks; answered by `ObjectsFound`.

    text: what to look for, '' for every object; segmenter: as in `Segment`.
    """

    job: int
    folder: str
    photo: PhotoFile
    text: str = ""
    segmenter: str = ""


@dataclass(frozen=True)
class Reconstruct:
    """Make one object of each mask; answered by `Reconstructed`.

    masks: .npy files of (H, W) bool, of the photo's size. depth: in place of the depth model's, or None.
    focal_px: focal length in pixels, where the artist knows better than the photo's file, or None.
    refine_layout: match each pose to its mask afterwards; preset: a name in the model's configuration that
    says how to sample; for both, None leaves it to the configuration. memory: a `residency.MemoryMode`, or
    None to have it chosen from the memory that is free.
    """

    job: int
    folder: str
    photo: PhotoFile
    masks: tuple[str, ...]
    seed: int
    refine_layout: bool | None = None
    preset: str | None = None
    memory: str | None = None
    depth: DepthFile | None = None
    focal_px: float | None = None


@dataclass(frozen=True)
class ObtainModel:
    """Make a model folder from a release's files; answered by `ModelObtained`.

    configuration: folder that says what the release is; target: the folder to make; source: the folder that
    the files are in, or None to download them. The token for that is in the worker's environment, HF_TOKEN.
    """

    job: int
    folder: str
    configuration: str
    target: str
    source: str | None = None


@dataclass(frozen=True)
class Status:
    """Ask how the worker is; answered by `WorkerStatus`."""

    job: int
    folder: str


@dataclass(frozen=True)
class Cancel:
    """Give up a job, waiting or running; it ends with `Cancelled` unless it had just ended otherwise."""

    job: int


@dataclass(frozen=True)
class Shutdown:
    """End the process at once, as the end of standard input does."""


# Events -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """The first event: the worker takes requests. version: the `PROTOCOL_VERSION` it speaks."""

    version: int


@dataclass(frozen=True)
class Progress:
    """stage: a key of `STAGES`; fraction: how much of it is done, 0..1; seconds: since the job began."""

    job: int
    stage: str
    fraction: float
    seconds: float


@dataclass(frozen=True)
class Notice:
    """Something that the artist should know of a job that goes on. sentence: in words, for the panel."""

    job: int
    sentence: str


@dataclass(frozen=True)
class PhotoLoaded:
    """height and width in pixels after EXIF rotation; focal_px: focal length in pixels if the file tells."""

    job: int
    height: int
    width: int
    focal_px: float | None


@dataclass(frozen=True)
class Segmented:
    """mask: .npy file of (H, W) bool."""

    job: int
    mask: str


@dataclass(frozen=True)
class ObjectsFound:
    """The surest first. masks: .npy files of (H, W) bool; scores: 0..1, one for each."""

    job: int
    masks: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class ObjectFiles:
    """One reconstructed object, in the frames and units of `types.Surface` and `types.Pose`.

    vertices: .npy file of (V, 3) float32; faces: (F, 3) int32; colors: (V, 3) float32 sRGB.
    rotation: quaternion (w, x, y, z); mask_iou: silhouette against mask, 0..1.
    """

    vertices: str
    faces: str
    colors: str
    rotation: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    scale: tuple[float, float, float]
    mask_iou: float


@dataclass(frozen=True)
class Reconstructed:
    """objects: one for each mask, in its order, None where nothing came of it.

    intrinsics: (3, 3) in pixels, OpenCV axes; seconds: per stage, over all objects; peak_memory: of the
    worker so far, in bytes.
    """

    job: int
    objects: tuple[ObjectFiles | None, ...]
    intrinsics: tuple[tuple[float, float, float], ...]
    height: int
    width: int
    seconds: dict[str, float]
    peak_memory: int


@dataclass(frozen=True)
class ModelObtained:
    """path: the model folder, complete."""

    job: int
    path: str


@dataclass(frozen=True)
class WorkerStatus:
    """model: the loaded checkpoint folder's name, device: what it runs on; both None until it is loaded.

    peak_memory: in bytes.
    """

    job: int
    model: str | None
    device: str | None
    peak_memory: int


@dataclass(frozen=True)
class Failed:
    """The job ended without a result. sentence: what happened and what to do, for the artist."""

    job: int
    kind: ErrorKind
    sentence: str


@dataclass(frozen=True)
class Cancelled:
    """The job was given up as asked."""

    job: int


REQUESTS = (LoadPhoto, Segment, FindObjects, Reconstruct, ObtainModel, Status, Cancel, Shutdown)
EVENTS = (
    Ready,
    Progress,
    Notice,
    PhotoLoaded,
    Segmented,
    ObjectsFound,
    Reconstructed,
    ModelObtained,
    WorkerStatus,
    Failed,
    Cancelled,
)
_MESSAGES = {cls.__name__: cls for cls in REQUESTS + EVENTS}


def encode(message: object) -> bytes:
    """A request or event as one ASCII line that ends in a newline.

    Raises ValueError when a number is not finite, TypeError when the message is none of this protocol.
    """
    name = type(message).__name__
    if _MESSAGES.get(name) is not type(message):
        raise TypeError(f"{name} is no message of the protocol")
    return (
        json.dumps({"message": name, **dataclasses.asdict(message)}, allow_nan=False).encode("ascii") + b"\n"
    )


def decode(line: bytes) -> object:
    """The request or event of a line. Raises ProtocolError when the line is none."""
    try:
        values = _tuples(json.loads(line))
        cls = _MESSAGES[values.pop("message")]
        if "photo" in values:
            values["photo"] = PhotoFile(**values["photo"])
        if values.get("depth") is not None:
            values["depth"] = DepthFile(**values["depth"])
        if "objects" in values:
            values["objects"] = tuple(entry and ObjectFiles(**entry) for entry in values["objects"])
        if "kind" in values:
            values["kind"] = ErrorKind(values["kind"])
        return cls(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"{bytes(line[:200])!r} is no message of protocol {PROTOCOL_VERSION}") from error


def _tuples(value: object) -> object:
    """JSON's lists as the tuples that the messages hold, all the way down."""
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    if isinstance(value, dict):
        return {name: _tuples(entry) for name, entry in value.items()}
    return value
