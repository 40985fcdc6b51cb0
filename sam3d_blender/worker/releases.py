"""Models that their authors released: which there are, what they cost, and which are on this disk. No bpy.

What can be had is told by `release.toml` files beside the configurations in `vendor_model`. Models lie in the
user's data folder, one for all versions of Blender.
"""

import shutil
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from . import PACKAGE_ROOT
from .client import WorkerClient
from .environment import GIGABYTE, data_folder
from .jobs import Job, JobState
from .task import Task, TaskError

RELEASED_PLACES = (".", "checkpoints", "checkpoints/hf")
"""Where in a folder the files of a release may lie."""

BUILT_IN, LOCAL = "mini", "folder"
"""What else can be chosen: the model of the add-on, or a folder of the artist's own."""

BEST, EMBEDDED = "best", "embedded"
"""Segmenters that can be chosen: the largest SAM 2.1 that is here, or the one of the add-on."""

POLL_SECONDS = 0.05
TOKEN_VARIABLE = "HF_TOKEN"


@dataclass(frozen=True)
class Weights:
    """One of the repositories that a release consists of. license: its name; page: where it is read, and
    accepted if it is gated; bytes: of its files, about."""

    title: str
    license: str
    page: str
    gated: bool
    bytes: int


@dataclass(frozen=True)
class Release:
    """A model to be had. configuration: the folder that describes it; bytes: on the disk once converted."""

    name: str
    title: str
    description: str
    configuration: Path
    weights: tuple[Weights, ...]
    bytes: int

    @property
    def folder(self) -> Path:
        """The model folder it is made into."""
        return data_folder() / "models" / self.name

    @property
    def download(self) -> int:
        """Bytes to fetch, about."""
        return sum(weights.bytes for weights in self.weights)


class Condition(StrEnum):
    """What is in a folder."""

    MISSING = "missing"
    BEGUN = "begun"
    RELEASED = "released"
    READY = "ready"
    UNKNOWN = "unknown"


def choose(model: str, local_folder: str) -> Path | None:
    """The folder of the chosen model; None for the built-in one, and for a release that is not ready yet.

    model: name of a release, `BUILT_IN` or `LOCAL`, which is the local folder.
    """
    if model == LOCAL:
        return Path(local_folder) if local_folder else None
    release = releases().get(model)
    return release.folder if release and condition(release.folder) is Condition.READY else None


@cache
def releases() -> Mapping[str, Release]:
    """Every model that can be had, by its name."""
    return _read_releases("vendor_model")


@cache
def segmenters() -> Mapping[str, Release]:
    """Every segmenter that can be had, by its name, the smallest first."""
    found = _read_releases("vendor_model/segmentation")
    return dict(sorted(found.items(), key=lambda entry: entry[1].bytes))


def choose_segmenter(segmenter: str, local: str) -> str:
    """What the worker is told to segment with: a folder, a Hugging Face id, or '' for the embedded segmenter.

    segmenter: name of a release, `BEST`, `EMBEDDED`, or `LOCAL`, which is the local folder or id.
    """
    if segmenter == LOCAL:
        return local
    ready = [name for name, release in segmenters().items() if is_segmenter(release.folder)]
    if segmenter == BEST:
        ready = [name for name in ready if name.startswith("sam2.1")]
        segmenter = ready[-1] if ready else EMBEDDED
    return str(segmenters()[segmenter].folder) if segmenter in ready else ""


def is_segmenter(folder: Path) -> bool:
    """Whether a folder holds a segmenter's weights, from the names of its files alone."""
    return all((folder / name).is_file() for name in ("config.json", "model.safetensors"))


def _read_releases(folder: str) -> dict[str, Release]:
    found = {}
    for path in sorted((PACKAGE_ROOT / folder).glob("*/release.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        weights = tuple(
            Weights(*(entry[name] for name in ("title", "license", "page", "gated", "bytes")))
            for entry in content["weights"]
        )
        facts = (content[name] for name in ("name", "title", "description"))
        release = Release(*facts, path.parent, weights, content["bytes"])
        found[release.name] = release
    return found


def condition(folder: Path) -> Condition:
    """What is in a folder, from the names of its files alone: quick enough for a panel."""
    if (folder / "pipeline.yaml").is_file() and any(folder.glob("*.safetensors")):
        return Condition.READY
    for place in (folder / name for name in RELEASED_PLACES):
        if (place / "pipeline.yaml").is_file() and any(place.glob("*.ckpt")):
            return Condition.RELEASED
    if folder.exists():
        return Condition.UNKNOWN
    return Condition.BEGUN if _download_folder(folder).exists() else Condition.MISSING


def size(folder: Path) -> int:
    """Bytes of the files in a model folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def remove(release: Release) -> None:
    """Delete a model, and what a download left of it. Raises OSError."""
    for folder in (release.folder, _download_folder(release.folder)):
        if folder.exists():
            shutil.rmtree(folder)


def obtain(release: Release, python: Path, token: str = "", source: Path | None = None) -> Task:
    """Make a release's model folder in the background, in a worker of its own. Result: the folder.

    python: that has the model's packages; token: for gated repositories; source: folder of released files,
    None to download them. What a download had fetched stays for the next one, whatever ends it.
    """
    variables = {TOKEN_VARIABLE: token} if token else {}
    client = WorkerClient(python, release.configuration, variables=variables)
    return Task(lambda task: _obtain(task, client, release, source))


def _obtain(task: Task, client: WorkerClient, release: Release, source: Path | None) -> Path:
    try:
        job = client.obtain_model(release.configuration, release.folder, source)
        while not job.is_over:
            task.stop_if_cancelled()
            client.poll()
            task.report(_progress_text(job, release), job.fraction)
            time.sleep(POLL_SECONDS)
    finally:
        client.stop()
        shutil.rmtree(release.folder.with_name(f"{release.name}.partial"), ignore_errors=True)
    if job.state is not JobState.DONE:
        raise TaskError(job.error)
    return job.result


def _progress_text(job: Job, release: Release) -> str:
    total = {"download": release.download, "convert": release.bytes}.get(job.stage)
    if total is None:
        return job.message
    return f"{job.message}, {job.fraction * total / GIGABYTE:.1f} of {total / GIGABYTE:.1f} GB"


def _download_folder(folder: Path) -> Path:
    return folder.with_name(folder.name + ".download")
