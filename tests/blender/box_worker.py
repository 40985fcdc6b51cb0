"""A worker with the real door and a very plain model: every mask becomes a box that fills it.

Segmentation: the box, and a square around each positive click. Geometry: the camera's focal length is the
photo's width unless given, and each box stands at the median of the depth that is given for the photo, else
DEPTH, in front of it, turned by ROTATION, its centre on the middle of the mask's bounding box, its longest
side as large as the mask is high. Seed 99 never ends by itself; of seed 98 nothing comes for the first mask.
"""

import time
from pathlib import Path

import numpy as np

from vendor_model import protocol
from vendor_model.errors import CheckpointError, PhotoError
from vendor_model.memory import peak_memory
from vendor_model.serving import serve
from vendor_model.worker import write_array

DEPTH = 2.0
ROTATION = (0.8, 0.0, 0.6, 0.0)
CLICK_RADIUS = 12
OFFSET = np.array([0.1, 0.0, 0.05], np.float32)
"""Of the box from the origin of its object frame: the extension has to move the origin into the box."""

COLOR = np.array([0.9, 0.2, 0.1], np.float32)


def size_of(photo: protocol.PhotoFile) -> tuple[int, int]:
    if photo.path.endswith(".npy"):
        return np.load(photo.path).shape[:2]
    from PIL import Image

    try:
        with Image.open(photo.path) as image:
            return image.size[::-1]
    except OSError as error:
        raise PhotoError(f"{photo.path} cannot be read; save it again.") from error


def segment(request, progress):
    progress("segment", 0.0)
    mask = np.zeros(size_of(request.photo), bool)
    if request.box:
        left, top, right, bottom = (round(side) for side in request.box)
        mask[top:bottom, left:right] = True
    for (x, y), positive in zip(request.points, request.labels, strict=True):
        rows = slice(max(0, int(y) - CLICK_RADIUS), int(y) + CLICK_RADIUS)
        mask[rows, max(0, int(x) - CLICK_RADIUS) : int(x) + CLICK_RADIUS] = positive
    return protocol.Segmented(request.job, write_array(request.folder, "mask", mask))


def find_objects(request, progress):
    """The photo's four quarters without their rims; with a text, the first of them. "nothing" finds none."""
    progress("objects", 0.25)
    while request.text == "for ever":
        time.sleep(0.02)
        progress("objects", 0.5)
    height, width = size_of(request.photo)
    masks = []
    for top, left in ((0, 0), (0, width // 2), (height // 2, 0), (height // 2, width // 2)):
        mask = np.zeros((height, width), bool)
        mask[top + 4 : top + height // 2 - 4, left + 4 : left + width // 2 - 4] = True
        masks.append(mask)
    masks = masks[: {"": 4, "nothing": 0}.get(request.text, 1)]
    files = tuple(write_array(request.folder, f"mask_{i}", mask) for i, mask in enumerate(masks))
    return protocol.ObjectsFound(request.job, files, (0.9, 0.8, 0.7, 0.6)[: len(files)])


def reconstruct(request, progress):
    height, width = size_of(request.photo)
    progress("geometry", 0.0)
    if request.memory:
        progress.notice(f"Memory ran out at {request.preset}.")
    while request.seed == 99:
        time.sleep(0.02)
        progress("geometry", 0.5)
    focal = request.focal_px or float(width)
    depth = float(np.nanmedian(np.load(request.depth.path))) if request.depth else DEPTH
    objects = tuple(
        box(request.folder, i, np.load(path), depth, focal) for i, path in enumerate(request.masks)
    )
    if request.seed == 98:
        objects = (None, *objects[1:])
    intrinsics = ((focal, 0.0, width / 2), (0.0, focal, height / 2), (0.0, 0.0, 1.0))
    return protocol.Reconstructed(
        request.job, objects, intrinsics, height, width, progress.seconds(), peak_memory()
    )


def box(folder: str, number: int, mask: np.ndarray, depth: float, focal: float) -> protocol.ObjectFiles:
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    across = (columns.min() + columns.max() + 1 - width) / 2 / focal
    down = (rows.min() + rows.max() + 1 - height) / 2 / focal
    scale = float(np.ptp(rows) + 1) / focal * depth
    w, x, y, z = ROTATION
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    centre = depth * np.array([-across, -down, 1]) - scale * (OFFSET @ turn)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float32)
    vertices = (corners - 0.5) * np.array([0.5, 0.4, 0.6], np.float32) + OFFSET
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = np.array([corner for a, b, c, d in quads for corner in ((a, b, c), (a, c, d))], np.int32)
    return protocol.ObjectFiles(
        write_array(folder, f"vertices_{number}", vertices),
        write_array(folder, f"faces_{number}", faces),
        write_array(folder, f"colors_{number}", np.tile(COLOR, (8, 1))),
        ROTATION,
        tuple(centre.tolist()),
        (scale, scale, scale),
        0.75,
    )


def obtain_model(request, progress):
    """A source named "bad" is no model; "slow" never ends by itself."""
    name = request.source and Path(request.source).name
    if name == "bad":
        raise CheckpointError("The folder holds no pipeline.yaml: choose another one.")
    progress("download", 0.5)
    while name == "slow":
        time.sleep(0.02)
        progress("download", 0.5)
    Path(request.target).mkdir(parents=True)
    for file in ("pipeline.yaml", "weights.safetensors"):
        Path(request.target, file).write_text("known")
    return protocol.ModelObtained(request.job, request.target)


def status(request, progress):
    return protocol.WorkerStatus(request.job, Path(__file__).stem, "cpu", peak_memory())


if __name__ == "__main__":
    serve(
        {
            protocol.Segment: segment,
            protocol.FindObjects: find_objects,
            protocol.Reconstruct: reconstruct,
            protocol.ObtainModel: obtain_model,
            protocol.Status: status,
        }
    )
