"""A worker with the real door and no model: what it does is told by the photo's file name and the seed."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from vendor_model import protocol
from vendor_model.errors import DownloadError, MaskError, PhotoError
from vendor_model.memory import peak_memory
from vendor_model.serving import serve
from vendor_model.worker import write_array


def load_photo(request, progress):
    name = Path(request.photo.path).stem
    if name == "broken":
        raise PhotoError("The file broken.png is not an image: choose a PNG or JPEG.")
    if name == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 8 GiB")
    if name == "bug":
        raise ZeroDivisionError("division by zero")
    print("printed by a library")
    os.system("echo printed by a child")
    height, width = np.load(request.photo.path).shape[:2] if name == "photo" else (3, 4)
    return protocol.PhotoLoaded(request.job, height, width, 2.5)


def segment(request, progress):
    mask = np.zeros((3, 4), bool)
    for (x, y), label in zip(request.points, request.labels, strict=True):
        mask[int(y), int(x)] = label
    return protocol.Segmented(request.job, write_array(request.folder, "mask", mask))


def find_objects(request, progress):
    """The photo's left column and its top row; with a text, as many pixels as it has letters."""
    progress("objects", 0.5)
    if request.text == "unknown":
        raise MaskError("The embedded segmenter only answers clicks: choose SAM 3.")
    masks = [np.zeros((3, 4), bool) for _ in range(2)]
    masks[0][:, 0] = masks[1][0] = True
    if request.text:
        masks = [np.arange(12).reshape(3, 4) < len(request.text)]
    files = tuple(write_array(request.folder, f"mask_{i}", mask) for i, mask in enumerate(masks))
    return protocol.ObjectsFound(request.job, files, (0.9, 0.8)[: len(files)])


def reconstruct(request, progress):
    """Seed 0 makes an object of each mask; others misbehave in the middle of the job."""
    progress("geometry", 0.0)
    if request.memory:
        progress.notice(f"Memory ran out at {request.preset}.")
    if request.seed == 1:
        for step in range(3000):
            time.sleep(0.01)
            progress("geometry", step / 3000)
    if request.seed == 2:
        time.sleep(30)
    if request.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    objects = []
    for number, path in enumerate(request.masks):
        progress("surface", number / len(request.masks))
        vertices = np.argwhere(np.load(path)).astype(np.float32)
        objects.append(
            protocol.ObjectFiles(
                write_array(request.folder, f"vertices_{number}", vertices),
                write_array(request.folder, f"faces_{number}", np.zeros((1, 3), np.int32)),
                write_array(request.folder, f"colors_{number}", vertices / 4),
                (1.0, 0.0, 0.0, 0.0),
                (0.0, 0.0, 2.0),
                (1.5, 1.5, 1.5),
                0.75,
            )
        )
    intrinsics = ((5.0, 0.0, 2.0), (0.0, 5.0, 1.5), (0.0, 0.0, 1.0))
    return protocol.Reconstructed(
        request.job, tuple(objects), intrinsics, 3, 4, progress.seconds(), peak_memory()
    )


def obtain_model(request, progress):
    """The token says how it goes; without one, the model is there at once."""
    target, token = Path(request.target), os.environ.get("HF_TOKEN")
    progress("download", 0.5)
    if token == "refused":
        raise DownloadError("The account of your token may not download it: accept the licence.")
    if token == "slow":
        target.with_name(target.name + ".partial").mkdir(parents=True)
        time.sleep(30)
    target.mkdir(parents=True)
    (target / "pipeline.yaml").write_text(f"{request.configuration} {request.source} {token}")
    (target / "weights.safetensors").write_bytes(bytes(1000))
    return protocol.ModelObtained(request.job, request.target)


def status(request, progress):
    return protocol.WorkerStatus(request.job, sys.argv[-1], str(os.getpid()), peak_memory())


if __name__ == "__main__":
    serve(
        {
            protocol.LoadPhoto: load_photo,
            protocol.Segment: segment,
            protocol.FindObjects: find_objects,
            protocol.Reconstruct: reconstruct,
            protocol.ObtainModel: obtain_model,
            protocol.Status: status,
        },
        clear=lambda: print("cleared", file=sys.stderr, flush=True),
    )
