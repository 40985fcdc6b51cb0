"""The client with a real process behind the real door; only the model is a stand-in, `stub_worker.py`."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from sam3d_blender.worker import protocol
from sam3d_blender.worker.client import MOST_FAILED_STARTS, PACKAGE_ROOT, WorkerClient
from sam3d_blender.worker.jobs import JobState
from sam3d_blender.worker.process import exit_reason
from vendor_model.protocol import ErrorKind

PYTHON = Path(sys.executable)
STUB = (str(Path(__file__).resolve().parent.parent / "stub_worker.py"),)
PHOTO = Path("/somewhere/photo of tests.png")
MASK = np.array([[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
FINE, SLOW, STUCK, KILLED = range(4)  # what the stub does for a seed


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """Where job folders are made: a path with spaces and letters that are not ASCII."""
    folder = tmp_path / "Grüße an 写真"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def client(temp):
    client = WorkerClient(PYTHON, Path("checkpoint"), worker=STUB)
    yield client
    client.stop()
    assert list(temp.iterdir()) == []


def poll_until(client, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        client.poll()
        time.sleep(0.005)


def start_slow(client, seed=SLOW):
    job = client.reconstruct(PHOTO, [MASK], seed=seed)
    poll_until(client, lambda: job.stage == "geometry")
    return job


def worker_pid(client):
    return int(client.wait(client.status()).result.device)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_reconstruction_arrives_as_arrays(client, temp):
    job = client.wait(client.reconstruct(PHOTO, [MASK, ~MASK], seed=FINE))
    assert job.state is JobState.DONE and job.error == ""
    first, second = job.result.objects
    np.testing.assert_array_equal(first.vertices, np.argwhere(MASK).astype(np.float32))
    np.testing.assert_array_equal(second.vertices, np.argwhere(~MASK).astype(np.float32))
    assert first.vertices.dtype == np.float32 and first.faces.dtype == np.int32
    assert first.translation.tolist() == [0.0, 0.0, 2.0] and first.mask_iou == 0.75
    assert job.result.intrinsics.shape == (3, 3) and (job.result.height, job.result.width) == (3, 4)
    assert set(job.result.seconds) == {"geometry", "surface"} and job.result.peak_memory > 2**20
    assert list(temp.iterdir()) == []


def test_notices_of_a_job_reach_it(client):
    job = client.wait(client.reconstruct(PHOTO, [MASK], seed=FINE, preset="draft", memory="low"))
    assert job.state is JobState.DONE and job.notice == "Memory ran out at draft."


def test_clicks_become_a_mask(client):
    job = client.wait(client.segment(PHOTO, [(3, 1), (0, 2)], [True, False]))
    assert np.argwhere(job.result).tolist() == [[1, 3]]


def test_objects_are_found_without_clicks(client, temp):
    found = client.wait(client.find_objects(PHOTO)).result
    assert [np.argwhere(one.mask).tolist() for one in found] == [
        [[0, 0], [1, 0], [2, 0]],
        [[0, 0], [0, 1], [0, 2], [0, 3]],
    ]
    assert [one.score for one in found] == [0.9, 0.8]
    (chair,) = client.wait(client.find_objects(PHOTO, "chair")).result
    assert chair.mask.sum() == 5
    failed = client.wait(client.find_objects(PHOTO, "unknown"))
    assert failed.kind is ErrorKind.USER and "choose SAM 3" in failed.error
    client.wait(client.status())  # answered after what follows a failure
    assert list(client.log).count("cleared") == 1
    assert list(temp.iterdir()) == []


def test_photo_is_read_from_a_file_or_from_pixels(client):
    assert client.wait(client.load_photo(PHOTO)).result.focal_px == 2.5
    info = client.wait(client.load_photo(np.zeros((7, 9, 3), np.uint8))).result
    assert (info.height, info.width) == (7, 9)


def test_same_pixels_have_the_same_key_and_others_another(client, tmp_path):
    def key(photo):
        return client.load_photo(photo).make_request(tmp_path).photo.key

    pixels = np.zeros((7, 9, 3), np.uint8)
    assert key(pixels) == key(pixels.copy()) != key(pixels + 1)
    file = tmp_path / "photo.png"
    file.write_bytes(b"1")
    before = key(file)
    file.write_bytes(b"22")
    assert before != key(file)


def test_progress_is_reported_in_order_and_in_words(client):
    seen = []
    client.wait(
        client.reconstruct(PHOTO, [MASK], seed=FINE),
        on_progress=lambda job: seen.append((job.stage, job.message)),
    )
    assert seen[-1] == ("surface", "Done")
    slow = start_slow(client)
    assert slow.message == protocol.STAGES["geometry"] and slow.elapsed > 0 and not slow.is_over


def test_poll_returns_at_once_while_a_job_runs(client):
    job = start_slow(client, STUCK)
    began = time.monotonic()
    for _ in range(20):
        client.poll()
    assert time.monotonic() - began < 0.1 and job.state is JobState.RUNNING


def test_cancel_ends_the_job_within_a_second_and_keeps_the_worker(client):
    pid = worker_pid(client)
    job = start_slow(client)
    began = time.monotonic()
    client.cancel(job)
    client.wait(job)
    assert job.state is JobState.CANCELLED and time.monotonic() - began < 1.0
    assert worker_pid(client) == pid


def test_worker_that_does_not_hear_the_cancel_is_killed(client):
    job = start_slow(client, STUCK)
    queued = client.load_photo(PHOTO)
    began = time.monotonic()
    client.cancel(job)
    client.wait(job)
    assert job.state is JobState.CANCELLED and time.monotonic() - began < 1.5
    assert client.wait(queued).state is JobState.DONE


def test_queued_job_is_cancelled_without_touching_the_running_one(client):
    running = start_slow(client)
    queued = client.load_photo(PHOTO)
    client.cancel(queued)
    assert queued.state is JobState.CANCELLED and running.state is JobState.RUNNING


def test_job_is_cancelled_while_the_worker_starts(client):
    job = client.load_photo(PHOTO)
    client.cancel(job)
    assert job.state is JobState.CANCELLED and not client.is_running
    assert client.wait(client.load_photo(PHOTO)).state is JobState.DONE


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_worker_is_reported_in_words_and_started_again(client):
    job = client.wait(client.reconstruct(PHOTO, [MASK], seed=KILLED))
    assert job.state is JobState.FAILED and "memory ran out" in job.error and "new worker" in job.error
    assert client.wait(client.load_photo(PHOTO)).state is JobState.DONE


def test_worker_killed_between_jobs_is_started_again(client):
    pid = worker_pid(client)
    client._process._process.kill()
    poll_until(client, lambda: not client.is_running)
    assert worker_pid(client) != pid


@pytest.mark.parametrize(
    "name, kind, words",
    [
        ("broken", ErrorKind.USER, "choose a PNG or JPEG"),
        ("memory", ErrorKind.MEMORY, "Memory ran out"),
        ("bug", ErrorKind.INTERNAL, "ZeroDivisionError: division by zero"),
    ],
)
def test_error_reaches_the_artist_in_one_sentence_and_the_worker_lives(client, name, kind, words, capsys):
    pid = worker_pid(client)
    job = client.wait(client.load_photo(Path(f"/somewhere/{name}.png")))
    assert job.state is JobState.FAILED and job.kind is kind and words in job.error and "\n" not in job.error
    assert worker_pid(client) == pid
    assert (kind is ErrorKind.USER) == (not any("Traceback" in line for line in client.log))
    assert (kind is ErrorKind.INTERNAL) == ("Traceback" in capsys.readouterr().err)


def test_prints_of_libraries_go_to_the_log(client):
    assert client.wait(client.load_photo(PHOTO)).state is JobState.DONE
    client.wait(client.status())
    client.stop()
    assert {"printed by a library", "printed by a child"} <= set(client.log)


def script_client(tmp_path, code):
    script = tmp_path / "worker.py"
    script.write_text(code)
    return WorkerClient(PYTHON, Path("checkpoint"), worker=(str(script),))


def test_garbage_on_the_pipe_is_logged_and_passed_over(temp, tmp_path):
    stub = Path(STUB[0]).read_text(encoding="utf-8")
    client = script_client(
        tmp_path, stub.replace('if __name__ == "__main__":', 'print("garbage {", flush=True)\nif 1:')
    )
    assert client.wait(client.load_photo(PHOTO)).state is JobState.DONE
    assert any("garbage {" in line for line in client.log)
    client.stop()


def test_worker_of_another_version_is_refused_in_words(temp, tmp_path):
    client = script_client(tmp_path, 'print(\'{"message": "Ready", "version": 99}\', flush=True); input()')
    job = client.wait(client.load_photo(PHOTO))
    assert job.kind is ErrorKind.ENVIRONMENT and "protocol 99" in job.error and not client.is_running


def test_worker_that_never_starts_is_tried_three_times_only(temp, tmp_path):
    client = script_client(
        tmp_path, f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); import no_such_package"
    )
    for _ in range(MOST_FAILED_STARTS):
        job = client.wait(client.load_photo(PHOTO))
        assert "no_such_package" in job.error and job.kind is ErrorKind.ENVIRONMENT
    assert "3 times in a row" in client.wait(client.load_photo(PHOTO)).error
    assert (tmp_path / "starts").read_text() == "xxx"
    client.stop()
    assert "no_such_package" in client.wait(client.load_photo(PHOTO)).error
    assert list(temp.iterdir()) == []


def test_how_a_process_ended_is_said_as_its_system_says_it():
    assert exit_reason(3, []) == "exit code 3"
    assert exit_reason(0xC0000005, ["", "loading"]) == "exit code 0xc0000005: loading"  # a crash on Windows


def test_python_that_is_missing_is_named(temp):
    client = WorkerClient(Path("/no/such/python"), Path("checkpoint"))
    job = client.load_photo(PHOTO)
    assert job.state is JobState.FAILED and "/no/such/python" in job.error


def test_temporary_folder_that_cannot_be_written_is_named(client, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: Path("/no/such/folder").mkdir())
    job = client.load_photo(PHOTO)
    assert job.state is JobState.FAILED and tempfile.gettempdir() in job.error and "TMPDIR" in job.error


def test_python_of_blender_leaves_no_trace_in_the_worker(client, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/blender/python")
    monkeypatch.setenv("PYTHONPATH", "/blender/scripts")
    assert client.wait(client.load_photo(PHOTO)).state is JobState.DONE


def test_stop_ends_every_job_and_the_process(client):
    pid = worker_pid(client)
    running, queued = start_slow(client, STUCK), client.load_photo(PHOTO)
    client.stop()
    assert running.state is queued.state is JobState.CANCELLED
    assert not is_alive(pid) and not client.is_running


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_worker_and_its_job_folder_go_when_the_parent_is_killed(temp):
    code = f"""
import tempfile, time
tempfile.tempdir = {str(temp)!r}
import numpy as np
from pathlib import Path
from sam3d_blender.worker.client import WorkerClient
client = WorkerClient(Path({str(PYTHON)!r}), Path("checkpoint"), worker={STUB!r})
print(client.wait(client.status()).result.device, flush=True)
client.wait(client.reconstruct(Path("photo"), [np.ones((3, 4), bool)], seed={STUCK}))
"""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 5
        while not list(temp.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert is_alive(pid) and list(temp.iterdir())
        parent.kill()
    deadline = time.monotonic() + 2
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid) and list(temp.iterdir()) == []
