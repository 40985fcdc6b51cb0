"""Something long that runs beside Blender as a series of commands, polled like a job of the worker."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from .jobs import JobState
from .process import clean_environment

LOG_LINES = 500


class TaskError(Exception):
    """Why a task failed, in one sentence for the artist."""


class CommandError(Exception):
    """A command failed; the message is its whole output."""


class _CancelledError(Exception):
    pass


class Task:
    """Runs `work(task)` in a thread, which calls `task.run` and `task.report`. Read the rest at any time.

    state, message, fraction, error, result, elapsed: as those of a `jobs.Job`. log: the commands' output.
    Nothing in the work may touch bpy.
    """

    def __init__(self, work: Callable[["Task"], object]):
        self.state = JobState.RUNNING
        self.message = "Starting"
        self.fraction = 0.0
        self.error = ""
        self.result: object = None
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._cancelled = threading.Event()
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thread = threading.Thread(target=self._work, args=(work,), daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self.state is not JobState.RUNNING

    @property
    def elapsed(self) -> float:
        """Seconds since the task began, or that it took."""
        return (self._ended or time.monotonic()) - self._began

    def cancel(self) -> None:
        """Give up: the running command is killed, the state changes when it is gone."""
        with self._lock:
            self._cancelled.set()
            if self._process and self._process.poll() is None:
                _kill_with_children(self._process)

    def wait(self) -> "Task":
        """Block until the task is over, for scripts and `blender --background`."""
        self._thread.join()
        return self

    def report(self, message: str, fraction: float) -> None:
        self.message, self.fraction = message, fraction

    def stop_if_cancelled(self) -> None:
        """For the work to call now and then when it runs no command."""
        if self._cancelled.is_set():
            raise _CancelledError

    def run(
        self,
        command: Sequence[str],
        package_root: Path | None = None,
        every_second: Callable[[], None] | None = None,
    ) -> str:
        """Run a command to its end and return its output.

        package_root: the folder that a Python finds the project in, if it should. every_second: called
        meanwhile.
        Raises CommandError when it fails, OSError when it cannot be started.
        """
        with self._lock:
            if self._cancelled.is_set():
                raise _CancelledError
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=clean_environment(package_root),
                cwd=package_root or tempfile.gettempdir(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=True,
            )
        output: list[str] = []
        reader = threading.Thread(target=self._read, args=(self._process, output), daemon=True)
        reader.start()
        while reader.is_alive():
            if every_second:
                every_second()
            reader.join(timeout=1.0)
        if self._cancelled.is_set():
            raise _CancelledError
        if self._process.returncode != 0:
            raise CommandError("\n".join(output))
        return "\n".join(output)

    def _read(self, process: subprocess.Popen, output: list[str]) -> None:
        with process:
            for line in process.stdout:
                output.append(line.decode("utf-8", "replace").rstrip())
                self.log.append(output[-1])

    def _work(self, work: Callable[["Task"], object]) -> None:
        try:
            self.result = work(self)
            self.fraction = 1.0
            state, message = JobState.DONE, "Done"
        except _CancelledError:
            state, message = JobState.CANCELLED, "Cancelled"
        except TaskError as error:
            self.error = str(error)
            state, message = JobState.FAILED, self.error
        except Exception as error:  # in a thread nobody else would hear of it
            self.log.extend(traceback.format_exc().splitlines())
            self.error = (
                f"Something went wrong ({type(error).__name__}: {error}): "
                "report it with what the system console shows."
            )
            state, message = JobState.FAILED, self.error
        if state is JobState.FAILED:
            print(*self.log, sep="\n", file=sys.stderr)
        self.message = message
        self._ended = time.monotonic()
        self.state = state


def _kill_with_children(process: subprocess.Popen) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
