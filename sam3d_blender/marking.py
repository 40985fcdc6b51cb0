"""Pointing an object out in the photo: clicks, a box, the brush, and the mask that comes of them.

All places are in pixels from the photo's top left corner, x to the right, y down, as every SAM tool
counts them. An object is named by `name`, and is by default the active one, which is begun where there is
none. What cannot be done is refused with `ArtistError`, and nothing has changed then. With `wait` a
function returns when the mask is there; otherwise the mask appears later.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import bpy
import numpy as np

from . import session
from .core import brush, masks
from .core.errors import ArtistError
from .core.state import Box, check_box, check_click
from .properties import SAM3D_PG_prompt
from .scene import photo as photos
from .selection import current_photo, find_object, found_again
from .worker.jobs import Job, JobState

ALL_EXCLUDE = "All clicks exclude, so nothing is selected; click on the object itself."
NOTHING_FOUND = "Nothing was found at the clicks; click in the middle of the object."

MASKS_KEPT = 64

_segmentations: dict[str, tuple[str, Job]] = {}
"""By prompt: the key of the clicks whose mask is on its way, and the job that brings it."""

_found: dict[tuple, str] = {}
"""The last masks that were found, by worker, segmenter, photo, its file and clicks: for undo and redo.

'' where nothing was found.
"""


def add_click(
    x: float, y: float, positive: bool = True, name: str | None = None, wait: bool = True
) -> SAM3D_PG_prompt:
    """Click on an object of the photo, or beside it with `positive=False`, and find its mask anew."""
    check_click(x, y, photos.size(current_photo()))
    with _marked(name, wait) as prompt:
        click = prompt.clicks.add()
        click.x, click.y, click.positive = x, y, positive
    return prompt


def remove_click(index: int = -1, name: str | None = None, wait: bool = True) -> None:
    """Take back one click, by default the last, and find the mask anew."""
    prompt = find_object(name)
    if not -len(prompt.clicks) <= index < len(prompt.clicks):
        raise ArtistError(f"“{prompt.name}” has {len(prompt.clicks)} clicks; there is none to remove.")
    prompt.clicks.remove(index % len(prompt.clicks))
    find_masks(wait)


def set_box(box: Box, name: str | None = None, wait: bool = True) -> SAM3D_PG_prompt:
    """Draw a box around an object, in place of the one it had, and find its mask anew.

    box: two opposite corners (x, y, x, y); what lies outside the photo is cut off.
    """
    box = check_box(box, photos.size(current_photo()))
    with _marked(name, wait) as prompt:
        prompt.box = box
    return prompt


def remove_box(name: str | None = None, wait: bool = True) -> None:
    """Take an object's box away and find its mask anew."""
    prompt = find_object(name)
    if prompt.drawn_box is None:
        raise ArtistError(f"“{prompt.name}” has no box to remove.")
    prompt.box = (0, 0, 0, 0)
    find_masks(wait)


def brush_mask(
    points: Sequence[tuple[float, float]], radius: float, erase: bool = False, name: str | None = None
) -> SAM3D_PG_prompt:
    """Paint a stroke into an object's mask, or out of it.

    points: (x, y) along the stroke; one is a dot. radius: in the same pixels. Strokes lie on top of what
    clicks or a file give, and stay when that changes; an object may be painted alone.
    """
    photos.check_unchanged(current_photo())
    height, width = photos.size(current_photo())
    stroke = np.zeros((height, width), bool)
    brush.paint(stroke, points, radius)
    if not stroke.any():
        raise ArtistError(f"The stroke lies outside the photo of {width} × {height} pixels; paint inside it.")
    prompt = _object_to_mark(name)
    nothing = np.zeros_like(stroke)
    strokes = [masks.unpack(text) if text else nothing for text in (prompt.added, prompt.erased)]
    prompt.added, prompt.erased = (
        masks.pack(part) if part.any() else "" for part in brush.add_stroke(*strokes, stroke, erase)
    )
    return prompt


def clear_brush(name: str | None = None) -> None:
    """Take all strokes of the brush out of an object's mask."""
    prompt = find_object(name)
    if not prompt.is_brushed:
        raise ArtistError(f"“{prompt.name}” has no strokes of the brush to clear.")
    prompt.added = prompt.erased = ""


def find_masks(wait: bool = True) -> None:
    """Bring the mask of every object of the photo in line with its clicks; the same clicks are asked once.

    Raises ArtistError, when waiting, if one cannot be found.
    """
    image = current_photo()
    jobs = [_segment(image, prompt) for prompt in image.sam3d.prompts if not prompt.is_current]
    for job in filter(None, jobs) if wait else ():
        session.result_of(session.wait(job))


def resume() -> None:
    """In a window, have the masks found that the photo's clicks still lack: after undo, or loading it.

    Elsewhere who needs the masks asks for them. Without a worker to ask, that is printed.
    """
    if bpy.app.background or bpy.context.scene.sam3d.photo is None:
        return
    try:
        find_masks(wait=False)
    except ArtistError as error:
        print(f"SAM 3D: {error}")


def give_up(uuid: str) -> None:
    """Let go of the mask that is on its way for a prompt."""
    _, job = _segmentations.pop(uuid, ("", None))
    if job:
        session.cancel(job)


def _object_to_mark(name: str | None) -> SAM3D_PG_prompt:
    prompts = current_photo().sam3d
    return prompts.new_prompt() if name is None and not prompts.prompts else find_object(name)


@contextmanager
def _marked(name: str | None, wait: bool) -> Iterator[SAM3D_PG_prompt]:
    """The object to put clicks on. Its mask is found afterwards; if that fails, all is as it was before."""
    session.client()
    image = current_photo()
    prompts = image.sam3d
    is_new = not prompts.prompts
    prompt = _object_to_mark(name)
    if prompt.is_given:
        raise ArtistError(
            f"“{prompt.name}” has a mask of its own; correct it with the brush, "
            "or add another object to click on."
        )
    clicks, box = len(prompt.clicks), tuple(prompt.box)
    try:
        yield prompt
        job = None if prompt.is_current else _segment(image, prompt)
        if job and wait:
            session.result_of(session.wait(job))
    except ArtistError:
        while len(prompt.clicks) > clicks:
            prompt.clicks.remove(clicks)
        prompt.box = box
        if is_new:
            prompts.prompts.clear()
        raise


def _segment(image: bpy.types.Image, prompt: SAM3D_PG_prompt) -> Job | None:
    key = prompt.key
    asked_key, job = _segmentations.get(prompt.uuid, ("", None))
    if job and job.is_awaited and asked_key == key:
        return job
    give_up(prompt.uuid)
    prompt.message = ""
    if not key:
        prompt.mask = prompt.mask_key = ""
        prompt.message = ALL_EXCLUDE if prompt.clicks else ""
        return None
    client = session.client()
    segmenter = session.segmenter()
    known = (client, segmenter, image.session_uid, image.sam3d.file_digest, key)
    if known in _found:
        _show(prompt, _found[known])
        return None
    job = client.segment(
        photos.content(image),
        [(click.x, click.y) for click in prompt.clicks],
        [click.positive for click in prompt.clicks],
        prompt.drawn_box,
        segmenter,
    )
    _segmentations[prompt.uuid] = key, job
    uuid = prompt.uuid
    return session.follow(job, lambda job: _take_mask(known, uuid, job))


def _take_mask(known: tuple, uuid: str, job: Job) -> None:
    _, _, photo, _, key = known
    if _segmentations.get(uuid) == (key, job):
        del _segmentations[uuid]
    image = found_again(bpy.data.images, photo)
    prompt = next((p for p in image.sam3d.prompts if p.uuid == uuid), None) if image else None
    if prompt is None or prompt.key != key:
        return
    if job.state == JobState.DONE:
        mask = masks.pack(job.result) if job.result.any() else ""
        _show(prompt, mask)
        _remember(known, mask)
    elif job.state != JobState.CANCELLED:
        prompt.message = job.error


def _show(prompt: SAM3D_PG_prompt, mask: str) -> None:
    """Give a prompt what its clicks and box have brought."""
    if mask:
        prompt.mask, prompt.mask_key, prompt.message = mask, prompt.key, ""
    else:
        prompt.message = NOTHING_FOUND


def _remember(known: tuple, mask: str) -> None:
    _found[known] = mask
    while len(_found) > MASKS_KEPT:
        del _found[next(iter(_found))]
