"""A release's files from the Hugging Face Hub: resumed where they were left, checked against the hub's sums.

The token of a gated repository is the library's own business: the environment's HF_TOKEN, or a login.
"""

import hashlib
import io
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import (
    GatedRepoError,
    HfHubHTTPError,
    build_hf_headers,
    disable_progress_bars,
)

from vendor_model.checkpoints.conversion import convert
from vendor_model.checkpoints.space import FULL, check_space, disk_error
from vendor_model.errors import DownloadError
from vendor_model.moving import move
from vendor_model.types import Progress

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
HTTP_ERRORS = HfHubHTTPError.__bases__
"""Of the library that the hub's client is built on, which changes with its version."""


@dataclass(frozen=True)
class Source:
    """A repository of `release.toml`. files: their names, wherever they lie in it."""

    title: str
    repository: str
    license: str
    page: str
    gated: bool
    bytes: int
    files: list[str]


@dataclass(frozen=True)
class RemoteFile:
    """sha256: of its content, which the hub tells of all large files."""

    source: Source
    name: str
    url: str
    size: int
    sha256: str | None


def download_model(configuration: Path, target: Path, progress: Progress) -> None:
    """Make the model folder `target` from the release that `configuration` tells of.

    Files are kept beside it until it is complete, so that a later attempt goes on from there. progress: of
    the stages "download" and "convert"; may raise to cancel. A release without `pipeline.yaml`, such as a
    segmenter's, is used as it is. Raises DownloadError or CheckpointError.
    """
    if target.exists():
        raise DownloadError(f"{target} is there already: name a folder that is not, or remove it.")
    release = tomllib.loads((configuration / "release.toml").read_text(encoding="utf-8"))
    folder = target.with_name(target.name + ".download")
    to_convert = (configuration / "pipeline.yaml").exists()
    sources = [Source(**entry) for entry in release["weights"]]
    fetch(sources, folder, progress, spare=release["bytes"] if to_convert else 0)
    if not to_convert:
        move(folder, target)
        return
    convert(folder, target, progress, configuration)
    shutil.rmtree(folder, ignore_errors=True)


def fetch(sources: list[Source], folder: Path, progress: Progress, spare: int = 0) -> None:
    """Download all files into the folder. spare: bytes that the disk must have beyond them.

    Raises DownloadError; what has been fetched stays and is not fetched again.
    """
    disable_progress_bars()
    progress("download", 0.0)
    files = [file for source in sources for file in list_files(source)]
    total = sum(file.size for file in files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_space(folder, total - sum(path.stat().st_size for path in folder.iterdir()) + spare)
    except OSError as error:
        raise disk_error(folder, error) from None
    done = 0
    for file in files:
        if not is_complete(folder / file.name, file):
            fetch_one(file, folder, lambda size, done=done: progress("download", (done + size) / total))
        done += file.size
        progress("download", done / total)


def list_files(source: Source) -> list[RemoteFile]:
    """What the hub has of a source's files. Raises DownloadError when one is missing."""
    with _in_words(source):
        info = HfApi().model_info(source.repository, files_metadata=True)
    # Of files with one name, the one that lies highest
    entries = sorted(info.siblings, key=lambda entry: entry.rfilename.count("/"), reverse=True)
    found = {PurePosixPath(entry.rfilename).name: entry for entry in entries}
    missing = [name for name in source.files if name not in found]
    if missing:
        raise DownloadError(
            f"{source.repository} does not have {missing[0]} any more: "
            "update the add-on, or choose a folder of released files."
        )
    return [
        RemoteFile(
            source,
            name,
            hf_hub_url(source.repository, found[name].rfilename, revision=info.sha),
            found[name].size,
            found[name].lfs.sha256 if found[name].lfs else None,
        )
        for name in source.files
    ]


def fetch_one(file: RemoteFile, folder: Path, on_size: Callable[[int], None]) -> None:
    """Download a file, going on from where an earlier attempt ended. on_size: told the bytes that are there.

    Raises DownloadError, also when the content is not what the hub says it is.
    """
    # By its sum, so that no file is completed with the bytes of another version
    unfinished = folder / f"{file.name}.{file.sha256 or 'small'}.part"
    if unfinished.exists() and unfinished.stat().st_size > file.size:
        unfinished.unlink()
    with _in_words(file.source), _ReportingFile(unfinished, on_size) as part:
        http_get(file.url, part, resume_size=part.tell(), headers=build_hf_headers(), expected_size=file.size)
    if not is_complete(unfinished, file):
        unfinished.unlink()
        raise DownloadError(f"{file.name} arrived damaged: try again to fetch it anew.")
    move(unfinished, folder / file.name)


def is_complete(path: Path, file: RemoteFile) -> bool:
    """Whether the file at a path has the hub's size and sum."""
    if not path.exists() or path.stat().st_size != file.size:
        return False
    if file.sha256 is None:
        return True
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


class _ReportingFile(io.BufferedWriter):
    """A file to append to that tells its size with every write."""

    def __init__(self, path: Path, on_size: Callable[[int], None]):
        super().__init__(io.FileIO(path, "ab"))
        self._on_size = on_size

    def write(self, content: bytes) -> int:
        written = super().write(content)
        self._on_size(self.tell())
        return written


@contextmanager
def _in_words(source: Source) -> Iterator[None]:
    try:
        yield
    except (OSError, *HTTP_ERRORS) as error:
        raise DownloadError(_sentence(error, source)) from None


def _sentence(error: Exception, source: Source) -> str:
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response.status_code, isinstance(error, GatedRepoError), source)
    if isinstance(error, OSError) and (error.errno in FULL or error.filename):
        return str(disk_error(Path(error.filename or source.title), error))
    return (
        f"The connection to huggingface.co failed ({type(error).__name__}): "
        "check the internet connection and try again; what has been fetched is kept."
    )


def _refusal(status: int, gated: bool, source: Source) -> str:
    if status == 401 and source.gated:
        return (
            f"{source.title} needs a token that Hugging Face knows: accept the licence at {source.page}, "
            f"make a token at {TOKENS_PAGE} and enter it."
        )
    if gated:
        return (
            f"The account of your token may not download {source.title} yet: "
            f"accept the licence at {source.page}, wait until it is granted, and try again."
        )
    if status == 403:
        return f"Your token may not read gated repositories: allow it that at {TOKENS_PAGE} and try again."
    if status in (401, 404):
        return (
            f"Hugging Face does not show {source.repository}: check your token at {TOKENS_PAGE}, "
            "or choose a folder of released files."
        )
    return f"Hugging Face answers with error {status}: try again later; what has been fetched is kept."
