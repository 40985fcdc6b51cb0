"""One run of the worker process: its pipes, its log and the words for how it ended."""

import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from . import protocol

LOG_LINES = 200


class WorkerProcess:
    """A started worker. `events` never blocks; threads read the pipes meanwhile.

    log: the last lines of its standard error. ended: None while it runs, afterwards why it ended, in words.
    variables: for its environment, beside those that are there. Raises OSError when the Python cannot be
    started.
    """

    def __init__(self, arguments: list[str], package_root: Path, variables: Mapping[str, str]):
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._ended: str | None = None
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(package_root) | variables,
            cwd=tempfile.gettempdir(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._log_reader = threading.Thread(target=self._read_log, daemon=True)
        self._log_reader.start()
        self._event_reader = threading.Thread(target=self._read_events, daemon=True)
        self._event_reader.start()

    @property
    def ended(self) -> str | None:
        """Why the process is over, once every event that it sent has been taken."""
        return self._ended if self._events.empty() else None

    def send(self, request: object) -> None:
        """Pass a request on. A worker that is no more does not get it: `ended` tells."""
        try:
            self._process.stdin.write(protocol.encode(request))
            self._process.stdin.flush()
        except OSError as error:
            self.log.append(f"request not sent: {error}")

    def events(self):
        """Each event that has arrived, oldest first, without waiting for more."""
        while not self._events.empty():
            yield self._events.get()

    def kill(self) -> None:
        """End the process at once and wait until it is gone."""
        self._process.kill()
        self._event_reader.join(timeout=5)

    def stop(self, grace_seconds: float) -> None:
        """Close the pipe that the worker lives on, and kill it if that does not end it."""
        try:
            self._process.stdin.close()
        except OSError as error:
            self.log.append(f"standard input did not close: {error}")
        self._event_reader.join(grace_seconds)
        self.kill()

    def _read_log(self) -> None:
        with self._process.stderr as lines:
            for line in lines:
                self.log.append(line.decode("utf-8", "replace").rstrip())

    def _read_events(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                try:
                    self._events.put(protocol.decode(line))
                except protocol.ProtocolError as error:
                    self.log.append(str(error))
        code = self._process.wait()
        self._log_reader.join(timeout=1)
        self._ended = exit_reason(code, self.log)


def exit_reason(code: int, log: deque[str]) -> str:
    """Why a process ended with this code, and what it said last."""
    if code == -getattr(signal, "SIGKILL", 9):
        reason = "killed by the system, most often because memory ran out"
    elif code < 0:
        reason = f"stopped by {signal.Signals(-code).name}"
    else:
        reason = f"exit code {code:#x}" if code > 0xFFFF else f"exit code {code}"  # Windows' own, of crashes
    last_words = next((line.strip() for line in reversed(log) if line.strip()), "")
    return f"{reason}: {last_words}" if last_words else reason


def clean_environment(package_root: Path | None = None) -> dict[str, str]:
    """The environment variables for a Python other than Blender's: none that Blender's Python left.

    package_root: the folder it imports the project from, if it should.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ("VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    }
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    if package_root is not None:
        environment["PYTHONPATH"] = str(package_root)
    return environment
