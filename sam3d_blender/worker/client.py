"""Start the worker, give it jobs, follow them, cancel them; never wait for it unless asked to."""

import hashlib
import itertools
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from . import PACKAGE_ROOT, protocol
from .jobs import Job, JobState, read_result, write_array
from .process import WorkerProcess

ErrorKind = protocol.ErrorKind

CANCEL_GRACE_SECONDS = 1.0
STOP_GRACE_SECONDS = 1.0
MOST_FAILED_STARTS = 3
WORKER_MODULE = ("-m", "vendor_model.worker")


class WorkerClient:
    """The worker as the rest of the add-on sees it: jobs go in, `poll` brings their news.

    The process starts with the first job and lives on; one that died is started again for the next.
    Jobs run one at a time in the order they came. Not for use from several threads.

    python: the interpreter that has the model's packages. checkpoint: the model's folder.
    package_root: the folder that holds `vendor_model`. worker: how that Python is told to run it.
    variables: for its environment, such as a token, which no command line may show.
    """

    def __init__(
        self,
        python: Path,
        checkpoint: Path,
        package_root: Path = PACKAGE_ROOT,
        worker: Sequence[str] = WORKER_MODULE,
        variables: Mapping[str, str] | None = None,
    ):
        # -s and -P: nothing from the user's site folder or from the current folder is imported
        self._arguments = [str(python), "-s", "-P", "-u", *worker, "--checkpoint", str(checkpoint)]
        self._package_root = package_root
        self._variables = dict(variables or {})
        self._process: WorkerProcess | None = None
        self._last_log: list[str] = []
        self._is_ready = False
        self._failed_starts = 0
        self._waiting: deque[Job] = deque()
        self._active: Job | None = None
        self._request: object = None
        self._numbers = itertools.count(1)

    # Jobs

    def load_photo(self, photo: Path | np.ndarray) -> Job:
        """Read a photo and keep it in the worker. Result: `jobs.PhotoInfo`.

        photo, here and below: an image file, or (H, W, 3) uint8 sRGB, upright, first row on top.
        """
        return self._submit(
            lambda job, folder: protocol.LoadPhoto(job, str(folder), _photo_file(photo, folder))
        )

    def segment(
        self,
        photo: Path | np.ndarray,
        points: Sequence[tuple[float, float]],
        labels: Sequence[bool],
        box: tuple[float, float, float, float] | None = None,
        segmenter: str = "",
    ) -> Job:
        """Turn clicks into a mask. Result: (H, W) bool.

        points: (x, y) in pixels from the photo's top left corner; labels: True on the object, False
        beside it; box: (left, top, right, bottom) in the same pixels; segmenter: folder or Hugging Face id
        of its weights, '' for the embedded one.
        """
        return self._submit(
            lambda job, folder: protocol.Segment(
                job,
                str(folder),
                _photo_file(photo, folder),
                tuple((float(x), float(y)) for x, y in points),
                tuple(bool(label) for label in labels),
                None if box is None else tuple(float(side) for side in box),
                segmenter,
            )
        )

    def find_objects(self, photo: Path | np.ndarray, text: str = "", segmenter: str = "") -> Job:
        """Find objects without clicks. Result: list of `jobs.FoundObject`, the surest first.

        text: what to look for, '' for every object; segmenter: as in `segment`.
        """
        return self._submit(
            lambda job, folder: protocol.FindObjects(
                job, str(folder), _photo_file(photo, folder), text, segmenter
            )
        )

    def reconstruct(
        self,
        photo: Path | np.ndarray,
        masks: Sequence[np.ndarray],
        seed: int = 0,
        refine_layout: bool | None = None,
        preset: str | None = None,
        memory: str | None = None,
        depth: np.ndarray | None = None,
        focal_px: float | None = None,
    ) -> Job:
        """Make one object of each mask. Result: `jobs.ReconstructedScene`.

        masks: (H, W) bool each; depth: (h, w) or (h, w, 3) as in `protocol.DepthFile`; refine_layout, preset,
        memory, focal_px: as in `protocol.Reconstruct`.
        """
        return self._submit(
            lambda job, folder: protocol.Reconstruct(
                job,
                str(folder),
                _photo_file(photo, folder),
                tuple(write_array(folder, f"mask_{i}", mask.astype(bool)) for i, mask in enumerate(masks)),
                int(seed),
                refine_layout,
                preset,
                memory,
                None if depth is None else _depth_file(depth, folder),
                focal_px,
            )
        )

    def obtain_model(self, configuration: Path, target: Path, source: Path | None = None) -> Job:
        """Make the model folder `target` from a release's files. Result: its path.

        configuration: folder that says what the release is; source: where the files are, None to download.
        """
        return self._submit(
            lambda job, folder: protocol.ObtainModel(
                job, str(folder), str(configuration), str(target), None if source is None else str(source)
            )
        )

    def status(self) -> Job:
        """Ask what is loaded and where. Result: `protocol.WorkerStatus`."""
        return self._submit(lambda job, folder: protocol.Status(job, str(folder)))

    def _submit(self, make_request: Callable[[int, Path], object]) -> Job:
        number = next(self._numbers)
        job = Job(number, lambda folder: make_request(number, folder))
        self._waiting.append(job)
        self.poll()
        return job

    # Following them

    @property
    def is_running(self) -> bool:
        """Whether there is a process, and so perhaps a loaded model."""
        return self._process is not None

    @property
    def is_busy(self) -> bool:
        """Whether any job is not over."""
        return self._active is not None or bool(self._waiting)

    @property
    def log(self) -> list[str]:
        """The last lines that the worker, or the one before, wrote to its standard error."""
        return list(self._process.log) if self._process else self._last_log

    def poll(self) -> None:
        """Bring every job up to date. Returns at once; call it from a timer while `is_busy`."""
        process = self._process
        if process:
            for event in process.events():
                self._take(event)
            if process.ended is not None and self._process is process:
                self._report_death(process.ended)
        active = self._active
        if active and active.cancel_before and time.monotonic() > active.cancel_before:
            self._kill()
            self._end(active, JobState.CANCELLED, "Cancelled")
        while self._active is None and self._waiting:
            self._begin(self._waiting.popleft())

    def wait(self, job: Job, on_progress: Callable[[Job], None] | None = None) -> Job:
        """Poll until the job is over, for scripts and `blender --background`."""
        seen = None
        while not job.is_over:
            time.sleep(0.01)
            self.poll()
            news = (job.state, job.stage, job.fraction)
            if on_progress and news != seen:
                on_progress(job)
                seen = news
        return job

    def cancel(self, job: Job) -> None:
        """Give a job up; `poll` tells when it is over, about a second later at the most."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._end(job, JobState.CANCELLED, "Cancelled")
        elif job is self._active and not self._is_ready:
            self._kill()
            self._end(job, JobState.CANCELLED, "Cancelled")
        elif job is self._active and job.cancel_before is None:
            job.cancel_before = time.monotonic() + CANCEL_GRACE_SECONDS
            job.message = "Cancelling"
            self._process.send(protocol.Cancel(job.id))

    def stop(self) -> None:
        """End the process and every job. A later job starts anew, also after failed starts."""
        if self._process:
            self._process.stop(STOP_GRACE_SECONDS)
            self._forget_process()
        self._failed_starts = 0
        for job in [*self._waiting, *([self._active] if self._active else [])]:
            self._end(job, JobState.CANCELLED, "Cancelled")
        self._waiting.clear()

    # Underneath

    def _begin(self, job: Job) -> None:
        job.begin()
        self._active = job
        sentence = self._start() or self._prepare(job)
        if sentence:
            self._fail(job, ErrorKind.ENVIRONMENT, sentence)
        elif self._is_ready:
            self._process.send(self._request)
        else:
            job.message = "Starting the worker"

    def _start(self) -> str | None:
        """Make sure that there is a process; otherwise say why there can be none."""
        if self._process:
            return None
        if self._failed_starts >= MOST_FAILED_STARTS:
            return (
                f"The worker stopped {self._failed_starts} times in a row while starting: "
                "press Install Again in the add-on's preferences."
            )
        try:
            self._process = WorkerProcess(self._arguments, self._package_root, self._variables)
        except OSError as error:
            return (
                f"The worker's Python {self._arguments[0]} cannot be started ({error.strerror}): "
                "install it again, or choose another, in the add-on's preferences."
            )
        self._is_ready = False
        return None

    def _prepare(self, job: Job) -> str | None:
        """Make the job's folder and what its request needs in there, or say why that is not possible."""
        try:
            job.folder = Path(tempfile.mkdtemp(prefix="sam3d_"))
            self._request = job.make_request(job.folder)
        except OSError as error:
            return (
                f"The temporary folder {tempfile.gettempdir()} cannot be written ({error.strerror}): "
                "free some space, or name another one in the variable TMPDIR, on Windows TEMP, "
                "and start Blender again."
            )
        return None

    def _take(self, event: object) -> None:
        job = self._active
        match event:
            case protocol.Ready(version) if version != protocol.PROTOCOL_VERSION:
                self._kill()
                if job:
                    sentence = (
                        f"The worker speaks protocol {version} and the add-on {protocol.PROTOCOL_VERSION}: "
                        "install the add-on again and restart Blender."
                    )
                    self._fail(job, ErrorKind.ENVIRONMENT, sentence)
            case protocol.Ready():
                self._is_ready = True
                self._failed_starts = 0
                if job:
                    self._process.send(self._request)
            case _ if job is None or event.job != job.id:
                pass  # news of a job that was given up meanwhile
            case protocol.Progress():
                job.advance(event)
            case protocol.Notice():
                job.notice = event.sentence
            case protocol.Cancelled():
                self._end(job, JobState.CANCELLED, "Cancelled")
            case _ if job.cancel_before:
                self._end(job, JobState.CANCELLED, "Cancelled")
            case protocol.Failed():
                self._fail(job, event.kind, event.sentence)
            case _:
                self._finish(job, event)

    def _finish(self, job: Job, event: object) -> None:
        try:
            job.result = read_result(event)
        except (OSError, ValueError) as error:
            sentence = f"The worker's result cannot be read ({error}): run the job again."
            self._fail(job, ErrorKind.ENVIRONMENT, sentence)
        else:
            self._end(job, JobState.DONE, "Done")

    def _report_death(self, reason: str) -> None:
        was_ready = self._is_ready
        self._forget_process()
        if not was_ready:
            self._failed_starts += 1
        job = self._active
        if job and job.cancel_before:
            self._end(job, JobState.CANCELLED, "Cancelled")
        elif job and was_ready:
            sentence = (
                f"The worker stopped during the job ({reason}): run it again, a new worker starts with it."
            )
            self._fail(job, ErrorKind.INTERNAL, sentence)
        elif job:
            sentence = (
                f"The worker stopped while starting ({reason}): "
                "press Install Again in the add-on's preferences."
            )
            self._fail(job, ErrorKind.ENVIRONMENT, sentence)

    def _kill(self) -> None:
        self._process.kill()
        self._forget_process()

    def _forget_process(self) -> None:
        self._last_log = list(self._process.log)
        self._process = None
        self._is_ready = False

    def _fail(self, job: Job, kind: ErrorKind, sentence: str) -> None:
        if kind is ErrorKind.INTERNAL:
            print(*self.log, sep="\n", file=sys.stderr)  # which the sentence speaks of
        job.kind, job.error = kind, sentence
        self._end(job, JobState.FAILED, sentence)

    def _end(self, job: Job, state: JobState, message: str) -> None:
        """The one way a job ends: its folder goes, whatever the outcome."""
        if job is self._active:
            self._active = self._request = None
        if job.folder:
            shutil.rmtree(job.folder, ignore_errors=True)
        job.end(state, message)


def _depth_file(depth: np.ndarray, folder: Path) -> protocol.DepthFile:
    return protocol.DepthFile(write_array(folder, "depth", depth), _digest(depth))


def _digest(array: np.ndarray) -> str:
    return f"{array.shape} {hashlib.blake2b(np.ascontiguousarray(array)).hexdigest()}"


def _photo_file(photo: Path | np.ndarray, folder: Path) -> protocol.PhotoFile:
    if isinstance(photo, np.ndarray):
        pixels = np.ascontiguousarray(photo)
        return protocol.PhotoFile(write_array(folder, "photo", pixels), _digest(pixels))
    path = Path(photo).absolute()
    try:
        facts = path.stat()
    except OSError:  # the worker says what is wrong with it
        return protocol.PhotoFile(str(path), str(path))
    return protocol.PhotoFile(str(path), f"{path} {facts.st_mtime_ns} {facts.st_size}")
