"""What an artist does with the add-on, one function a verb, for panels and scripts alike.

They work on `bpy.context.scene` and its photo. Clicks are in pixels from the photo's top left
corner, x to the right, y down, as every SAM tool counts them. What cannot be done is refused with
`ArtistError`, and nothing has changed then.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from . import session
from .core import masks
from .core.errors import ArtistError
from .core.state import check_click
from .properties import SAM3D_PG_photo, SAM3D_PG_prompt
from .scene import photo as photos
from .scene.camera import camera_of, look_through
from .scene.reconstruction import Part, write_reconstruction
from .worker.jobs import Job, JobState

OnProgress = Callable[[Job], None]


@dataclass
class Reconstruction:
    """The reconstruction under way. Data are named, not held: undo replaces every Blender object.

    targets: (uuid, name) of each prompt, in the order of the job's masks.
    """

    job: Job
    scene: str
    photo: str
    targets: tuple[tuple[str, str], ...]
    seed: int
    replace: bool


reconstruction: Reconstruction | None = None
"""The last one that was started; `reconstruction.job` tells whether it is over."""

_segmentations: dict[str, tuple[str, Job]] = {}
"""By prompt: the key of the clicks whose mask is on its way, and the job that brings it."""


# Photo and objects


def load_photo(path: str | Path) -> bpy.types.Image:
    """Load a photo and work on it from now on; its objects and clicks, if any, are kept with it."""
    image = photos.load(path)
    bpy.context.scene.sam3d.photo = image
    return image


def current_photo() -> bpy.types.Image:
    """The photo that is worked on. Raises ArtistError when there is none."""
    image = bpy.context.scene.sam3d.photo
    if image is None:
        raise ArtistError("There is no photo yet; load one in the SAM 3D tab of the Image Editor.")
    return image


def add_object(name: str = "") -> SAM3D_PG_prompt:
    """Begin another object of the photo, and make it the active one."""
    return current_photo().sam3d.new_prompt(name)


def remove_object(name: str | None = None) -> None:
    """Take an object, by default the active one, out of the photo's list; its mesh in the scene stays."""
    prompts = current_photo().sam3d
    prompt = _prompt(prompts, name)
    _cancel_segmentation(prompt.uuid)
    prompts.prompts.remove(prompts.prompts.find(prompt.name))
    prompts.active_index = max(0, min(prompts.active_index, len(prompts.prompts) - 1))


# Clicks and masks


def add_click(
    x: float, y: float, positive: bool = True, name: str | None = None, wait: bool = True
) -> SAM3D_PG_prompt:
    """Click on an object of the photo, or beside it with `positive=False`, and find its mask anew.

    x, y: pixels from the top left corner; name: of the object, by default the active one, which is
    begun where there is none. wait: return when the mask is there; otherwise it appears later.
    """
    image = current_photo()
    check_click(x, y, photos.size(image))
    session.client()
    prompts = image.sam3d
    is_new = name is None and not prompts.prompts
    prompt = prompts.new_prompt() if is_new else _prompt(prompts, name)
    if prompt.is_given:
        raise ArtistError(f"“{prompt.name}” has a mask of its own; add another object to click on.")
    click = prompt.clicks.add()
    click.x, click.y, click.positive = x, y, positive
    try:
        find_masks(wait=wait)
    except ArtistError:
        prompt.clicks.remove(len(prompt.clicks) - 1)
        if is_new:
            prompts.prompts.clear()
        raise
    return prompt


def remove_click(index: int = -1, name: str | None = None, wait: bool = True) -> None:
    """Take back a click, by default the last one of the active object, and find the mask anew."""
    prompt = _prompt(current_photo().sam3d, name)
    if not -len(prompt.clicks) <= index < len(prompt.clicks):
        raise ArtistError(f"“{prompt.name}” has {len(prompt.clicks)} clicks; there is none to remove.")
    prompt.clicks.remove(index % len(prompt.clicks))
    find_masks(wait=wait)


def add_mask(source: str | Path | bpy.types.Image, name: str = "") -> SAM3D_PG_prompt:
    """Add an object with a mask from an image file or a Blender image of the photo's size.

    The alpha channel is the mask where it varies; otherwise everything brighter than middle grey is.
    """
    image = current_photo()
    if isinstance(source, bpy.types.Image):
        mask, origin = masks.from_pixels(photos.pixels(source)), source.name
    else:
        mask, origin = photos.read_mask(source), Path(source).name
    masks.check(mask, photos.size(image), origin)
    prompt = image.sam3d.new_prompt(name or Path(origin).stem)
    prompt.mask = masks.pack(mask)
    return prompt


def find_masks(wait: bool = True) -> None:
    """Bring the mask of every object of the photo in line with its clicks; the same clicks are asked once.

    Raises ArtistError, when waiting, if one cannot be found.
    """
    image = current_photo()
    jobs = [_segment(image, prompt) for prompt in image.sam3d.prompts if not prompt.is_current]
    for job in filter(None, jobs) if wait else ():
        session.wait(job)
        _raise_failure(job)


def _segment(image: bpy.types.Image, prompt: SAM3D_PG_prompt) -> Job | None:
    key = prompt.key
    asked_key, job = _segmentations.get(prompt.uuid, ("", None))
    if job and asked_key == key:
        return job
    _cancel_segmentation(prompt.uuid)
    prompt.message = ""
    if not key:
        prompt.mask = prompt.mask_key = ""
        return None
    job = session.client().segment(
        photos.content(image),
        [(click.x, click.y) for click in prompt.clicks],
        [click.positive for click in prompt.clicks],
    )
    _segmentations[prompt.uuid] = key, job
    photo_name, uuid = image.name, prompt.uuid
    return session.follow(job, lambda job: _take_mask(photo_name, uuid, key, job))


def _take_mask(photo_name: str, uuid: str, key: str, job: Job) -> None:
    if _segmentations.get(uuid) == (key, job):
        del _segmentations[uuid]
    image = bpy.data.images.get(photo_name)
    prompt = next((p for p in image.sam3d.prompts if p.uuid == uuid), None) if image else None
    if prompt is None or prompt.key != key:
        return
    if job.state == JobState.DONE and job.result.any():
        prompt.mask, prompt.mask_key, prompt.message = masks.pack(job.result), key, ""
    elif job.state != JobState.CANCELLED:
        prompt.message = job.error or "Nothing was found at the clicks; click in the middle of the object."


def _cancel_segmentation(uuid: str) -> None:
    _, job = _segmentations.pop(uuid, ("", None))
    if job:
        session.cancel(job)


# Reconstruction


def start_reconstruction(replace: bool = False) -> Reconstruction:
    """Have every object of the photo that has a mask reconstructed; returns at once.

    replace: also renew objects of an earlier run that the artist has worked on.
    """
    global reconstruction
    image = current_photo()
    if is_reconstructing():
        raise ArtistError("A reconstruction is under way; wait for it, or cancel it first.")
    prompts = [prompt for prompt in image.sam3d.prompts if prompt.mask or prompt.clicks]
    if not prompts:
        raise ArtistError("No object is marked yet; click one in the photo, or add a mask.")
    for prompt in prompts:
        if not prompt.mask or not prompt.is_current:
            reason = prompt.message or "its mask is still being found, or no click is on it"
            raise ArtistError(f"“{prompt.name}” cannot be reconstructed: {reason}.".replace("..", "."))
    settings = bpy.context.scene.sam3d
    job = session.client().reconstruct(
        photos.content(image),
        [masks.unpack(prompt.mask) for prompt in prompts],
        seed=settings.seed,
        refine_layout=settings.refine_layout,
    )
    reconstruction = Reconstruction(
        job,
        bpy.context.scene.name,
        image.name,
        tuple((prompt.uuid, prompt.name) for prompt in prompts),
        settings.seed,
        replace,
    )
    session.follow(job, lambda job: None)
    return reconstruction


def finish_reconstruction() -> list[bpy.types.Object]:
    """Write the objects of the reconstruction that is over. Raises ArtistError if it failed."""
    run = reconstruction
    _raise_failure(run.job)
    scene, image = bpy.data.scenes.get(run.scene), bpy.data.images.get(run.photo)
    if scene is None or image is None:
        raise ArtistError(f"“{run.photo}” is gone from the file; load it and reconstruct again.")
    result = run.job.result
    scene.sam3d.stage_seconds = json.dumps(result.seconds)
    scene.sam3d.peak_memory_mb = result.peak_memory / 2**20
    parts = [
        Part(uuid, name, surface) for (uuid, name), surface in zip(run.targets, result.objects, strict=True)
    ]
    return write_reconstruction(scene, image, parts, result.intrinsics, run.seed, run.replace)


def reconstruct(replace: bool = False, on_progress: OnProgress | None = None) -> list[bpy.types.Object]:
    """Reconstruct every object of the photo that has a mask and return the objects when all is done.

    replace: also renew objects of an earlier run that the artist has worked on. on_progress: called
    with the job at each piece of news.
    """
    find_masks()
    session.wait(start_reconstruction(replace).job, on_progress)
    return finish_reconstruction()


def is_reconstructing() -> bool:
    return reconstruction is not None and not reconstruction.job.is_over


def cancel() -> None:
    """Give up the reconstruction under way; nothing of it reaches the scene."""
    if is_reconstructing():
        session.cancel(reconstruction.job)


def view_through_camera() -> None:
    """Look through the photo's camera: the scene's camera and render size become the photo's."""
    image, scene = current_photo(), bpy.context.scene
    camera = camera_of(scene, image)
    if camera is None:
        raise ArtistError("This photo has no camera yet; reconstruct its objects first.")
    look_through(scene, camera)


def _prompt(prompts: SAM3D_PG_photo, name: str | None) -> SAM3D_PG_prompt:
    prompt = prompts.active if name is None else prompts.prompts.get(name)
    if prompt is None:
        wanted = "that object" if name is None else f"“{name}”"
        raise ArtistError(f"The photo has no object {wanted}; add an object first.")
    return prompt


def _raise_failure(job: Job) -> None:
    if job.state == JobState.CANCELLED:
        raise ArtistError("The job was cancelled; start it again when you want its result.")
    if job.state == JobState.FAILED:
        raise ArtistError(job.error)
