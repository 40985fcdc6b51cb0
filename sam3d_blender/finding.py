"""Objects that nobody clicked: the segmenter proposes them, the artist keeps or drops them.

A proposal is an object of the photo with a mask of its own, shown like the others, but neither reconstructed
nor taking pixels from others until it is kept. What cannot be done is refused with `ArtistError`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np

from . import session
from .core import masks
from .core.errors import ArtistError
from .properties import SAM3D_PG_prompt
from .scene import photo as photos
from .selection import current_photo, find_object, found_again
from .worker.jobs import FoundObject, Job

SAME_OBJECT = 0.7
"""IoU from which a mask counts as an object that is in the list already."""


@dataclass(frozen=True)
class Search:
    """The search for objects under way. photo: its `session_uid`; text: what is looked for, '' for all."""

    job: Job
    photo: int
    text: str


search: Search | None = None
"""The last one that was started; `search.job` tells whether it is over."""


def find_objects(text: str = "", on_progress: Callable[[Job], None] | None = None) -> list[SAM3D_PG_prompt]:
    """Propose every object of the photo, or with a text such as "chair" every one of those, and return them.

    Proposals of an earlier search that were not kept make room for them. Which segmenter looks is chosen in
    the preferences; only SAM 3 reads.
    """
    session.wait(start_finding(text), on_progress)
    return finish_finding()


def start_finding(text: str = "") -> Job:
    """As `find_objects`, but return at once; `finish_finding` brings what the job found."""
    global search
    image = current_photo()
    if is_finding():
        raise ArtistError("Objects are being looked for already; wait for that, or cancel it first.")
    job = session.client().find_objects(photos.content(image), text.strip(), session.segmenter())
    search = Search(job, image.session_uid, text.strip())
    return session.follow(job, lambda job: None)


def finish_finding() -> list[SAM3D_PG_prompt]:
    """List what the search that is over has found. Raises ArtistError if it failed or found nothing new."""
    found = session.result_of(search.job)
    image = found_again(bpy.data.images, search.photo)
    if image is None:
        raise ArtistError("The photo that was searched is gone from the file; load it and look again.")
    photo = image.sam3d
    objects = {prompt.uuid for prompt in photo.prompts if not prompt.is_proposal}
    new = _unknown(found, [shape.whole for uuid, shape in photo.shapes().items() if uuid in objects])
    if not new:
        wanted = f"“{search.text}”" if search.text else "object"
        raise ArtistError(f"No new {wanted} was found in the photo; click on what you want instead.")
    photo.remove_prompts([prompt.uuid for prompt in photo.prompts if prompt.is_proposal])
    first = len(photo.prompts)
    for number, one in enumerate(new, start=1):
        prompt = photo.new_prompt(f"{search.text} {number}" if search.text else "")
        prompt.mask, prompt.is_proposal = masks.pack(one.mask), True
    photo.active_index = first
    return list(photo.prompts)[first:]


def keep_proposals(name: str | None = None, every: bool = False) -> None:
    """Make a proposal, by default the active one, an object like any other. every: all of them."""
    for prompt in _proposals(name, every):
        prompt.is_proposal = False


def drop_proposals(name: str | None = None, every: bool = False) -> None:
    """Take a proposal, by default the active one, out of the list. every: all of them."""
    current_photo().sam3d.remove_prompts([prompt.uuid for prompt in _proposals(name, every)])


def is_finding() -> bool:
    return search is not None and not search.job.is_over


def cancel() -> None:
    """Give up the search under way; the list of objects stays as it is."""
    if is_finding():
        session.cancel(search.job)


def _proposals(name: str | None, every: bool) -> list[SAM3D_PG_prompt]:
    wanted = current_photo().sam3d.prompts if every else [find_object(name)]
    found = [prompt for prompt in wanted if prompt.is_proposal]
    if not found:
        what = "There is no proposal" if every else f"“{wanted[0].name}” is not a proposal"
        raise ArtistError(f"{what}; find objects first.")
    return found


def _unknown(found: list[FoundObject], known: list[np.ndarray]) -> list[FoundObject]:
    return [
        one
        for one in found
        if one.mask.sum() >= masks.SMALLEST_MASK
        and all((one.mask & mask).sum() <= SAME_OBJECT * (one.mask | mask).sum() for mask in known)
    ]
