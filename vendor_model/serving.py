"""The serving side of the protocol: read requests, run them in order, answer, stop when told.

Nothing in here knows a model; what is done for a request is passed in as handlers.
"""

import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import BinaryIO, NoReturn

from vendor_model import protocol
from vendor_model.errors import Cancelled, UserError
from vendor_model.memory import is_out_of_memory, peak_memory
from vendor_model.protocol import ErrorKind

SECONDS_BETWEEN_PROGRESS = 0.05

Send = Callable[[object], None]
Handler = Callable[[object, "JobProgress"], object]
"""`handler(request, progress)` returns the event that answers the request."""


class JobProgress:
    """A `types.Progress` for one job: reports it, times its stages, and stops it once it is cancelled.

    seconds: per stage, summed over every time the job was in it.
    """

    def __init__(self, job: int, cancelled: set[int], send: Send):
        self._job, self._cancelled, self._send = job, cancelled, send
        self._began = self._entered = time.monotonic()
        self._stage: str | None = None
        self._next_report = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        if self._job in self._cancelled:
            raise Cancelled
        now = time.monotonic()
        if stage != self._stage:
            self._close_stage(now)
            self._stage = stage
        elif now < self._next_report:
            return
        self._next_report = now + SECONDS_BETWEEN_PROGRESS
        self._send(protocol.Progress(self._job, stage, float(fraction), now - self._began))

    def notice(self, sentence: str) -> None:
        """Let the artist know of something while the job goes on."""
        self._send(protocol.Notice(self._job, sentence))

    def seconds(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""
        self._close_stage(time.monotonic())
        return dict(self._seconds)

    def _close_stage(self, now: float) -> None:
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._entered
        self._entered = now


class Inbox:
    """What the client has asked for. A thread reads it, so that a cancel arrives in the middle of a job.

    cancelled: numbers of jobs to give up. folder: of the running job, removed if the client dies.
    """

    def __init__(self, lines: BinaryIO):
        self.cancelled: set[int] = set()
        self.folder: str | None = None
        self._lines = lines
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def next_request(self) -> object:
        return self._requests.get()

    def _read(self) -> None:
        for line in self._lines:
            try:
                request = protocol.decode(line)
            except protocol.ProtocolError as error:
                print(error, file=sys.stderr, flush=True)
                continue
            if isinstance(request, protocol.Shutdown):
                break
            if isinstance(request, protocol.Cancel):
                self.cancelled.add(request.job)
            else:
                self._requests.put(request)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


def serve(handlers: Mapping[type, Handler], clear: Callable[[], None] = lambda: None) -> NoReturn:
    """Answer requests for ever.

    handlers: by the type of request. clear: called when one has failed or was cancelled, once nothing holds
    on any more to what it was computing.
    """
    lines, output = _claim_standard_pipes()
    lock = threading.Lock()

    def send(event: object) -> None:
        with lock:
            output.write(protocol.encode(event))
            output.flush()

    inbox = Inbox(lines)
    send(protocol.Ready(protocol.PROTOCOL_VERSION))
    while True:
        request = inbox.next_request()
        inbox.folder = request.folder
        progress = JobProgress(request.job, inbox.cancelled, send)
        answer = _answer(handlers[type(request)], request, progress)
        send(answer)
        if isinstance(answer, protocol.Failed | protocol.Cancelled):
            clear()
        inbox.folder = None


def _claim_standard_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for the protocol alone: what any library prints goes to standard error."""
    lines = os.fdopen(os.dup(0), "rb")
    output = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return lines, output


def _answer(handler: Handler, request: object, progress: JobProgress) -> object:
    try:
        return handler(request, progress)
    except Cancelled:
        return protocol.Cancelled(request.job)
    except UserError as error:
        return protocol.Failed(request.job, ErrorKind.USER, str(error))
    except Exception as error:  # the door: whatever went wrong, the client hears of it and the worker lives
        traceback.print_exc()
        return protocol.Failed(request.job, *describe_failure(error))


def describe_failure(error: Exception) -> tuple[ErrorKind, str]:
    """The kind of an unforeseen error and a sentence on it for the artist."""
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    if is_out_of_memory(error):
        return ErrorKind.MEMORY, (
            f"Memory ran out, the worker had taken up to {peak_memory() / 2**30:.1f} GB: "
            "close other programs, or reconstruct fewer objects at a time, and try again."
        )
    if isinstance(error, ImportError):
        return ErrorKind.ENVIRONMENT, (
            f"The worker's Python lacks something ({words}): press Install Again in the add-on's preferences."
        )
    if isinstance(error, OSError):
        return ErrorKind.ENVIRONMENT, (
            f"A file could not be read or written ({words}): "
            "check free space and permissions, then try again."
        )
    return ErrorKind.INTERNAL, (
        f"Something went wrong inside the worker ({type(error).__name__}: {words}): "
        "try again, and report what the system console shows if it stays."
    )
