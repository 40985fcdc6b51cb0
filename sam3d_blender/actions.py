"""What an artist does with the add-on, one function a verb, for panels and scripts alike.

They work on `bpy.context.scene` and its photo. What cannot be done is refused with `ArtistError`, and
nothing has changed then. Clicks, boxes and strokes are in `marking`, masks from images in `mask_files`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import bpy

from . import depth_files, marking, session
from .core import masks
from .core.errors import ArtistError
from .core.shapes import Shape
from .properties import SAM3D_PG_prompt
from .scene import photo as photos
from .scene.camera import camera_of, look_through
from .scene.reconstruction import Part, is_finished_by_hand, write_reconstruction
from .selection import current_photo, find_object, found_again
from .worker.jobs import Job

NOTHING_MADE = "No shape was found; mark more of the object, or try another seed."

OnProgress = Callable[[Job], None]


class Target(NamedTuple):
    """A prompt of which an object is made. mask: `masks.digest` of the whole mask."""

    prompt: str
    name: str
    mask: str


@dataclass
class Reconstruction:
    """The reconstruction under way. Data are numbered, not held: undo replaces every Blender object.

    scene, photo: `session_uid` of each, which stays when the artist renames them. targets: in the order of
    the job's masks; kept: names of prompts that are not made again; empty: of those of which nothing came,
    once it is finished.
    """

    job: Job
    scene: int
    photo: int
    targets: tuple[Target, ...]
    kept: tuple[str, ...]
    seed: int
    replace: bool
    empty: tuple[str, ...] = ()


reconstruction: Reconstruction | None = None
"""The last one that was started; `reconstruction.job` tells whether it is over."""


# Photo and objects


def load_photo(path: str | Path) -> bpy.types.Image:
    """Load a photo and work on it from now on; its objects and clicks, if any, are kept with it.

    A photo whose file has changed since is read again: its clicks are asked for anew. If it has another size
    now, its masks cannot fit, and it becomes another photo beside the former one.
    """
    image = photos.load(path)
    bpy.context.scene.sam3d.photo = image
    marking.resume()
    return image


def add_object(name: str = "") -> SAM3D_PG_prompt:
    """Begin another object of the photo, and make it the active one."""
    return current_photo().sam3d.new_prompt(name)


def remove_object(name: str | None = None) -> None:
    """Take an object, by default the active one, out of the photo's list; its mesh in the scene stays."""
    uuid = find_object(name).uuid
    marking.give_up(uuid)
    current_photo().sam3d.remove_prompts([uuid])


# Reconstruction


def start_reconstruction(replace: bool = False) -> Reconstruction:
    """Have every object of the photo that has a mask reconstructed; returns at once.

    One that the artist has worked on since it was made of the same mask is not made again. replace: it is,
    and in its place.
    """
    global reconstruction
    image = current_photo()
    if is_reconstructing():
        raise ArtistError("A reconstruction is under way; wait for it, or cancel it first.")
    marked = [prompt for prompt in image.sam3d.prompts if prompt.is_marked]
    prompts = [prompt for prompt in marked if not prompt.is_proposal]
    if not prompts:
        raise ArtistError(
            "None of the proposed objects is kept yet; keep those that you want."
            if marked
            else "No object is marked yet; click one in the photo, or add a mask."
        )
    if any(not prompt.is_current and not prompt.message for prompt in prompts):
        marking.find_masks(wait=False)
    shapes = image.sam3d.shapes()
    for prompt in prompts:
        _check_shape(prompt, shapes.get(prompt.uuid))
    client = session.client()
    if session.is_outdated():
        raise ArtistError(
            "The worker is still busy with the model or Python chosen before; wait for it, or cancel first."
        )
    scene = bpy.context.scene
    targets = [
        Target(prompt.uuid, prompt.name, masks.digest(shapes[prompt.uuid].whole)) for prompt in prompts
    ]
    done = [
        target
        for target in targets
        if not replace and is_finished_by_hand(scene, image, target.prompt, target.mask)
    ]
    targets = [target for target in targets if target not in done]
    if not targets:
        raise ArtistError(
            "You have edited every object since it was made, and no mask has changed; mark another one, "
            "or press ⟳ (in scripts replace=True) to make all again, in place of your edits."
        )
    settings = scene.sam3d
    job = client.reconstruct(
        photos.content(image),
        [shapes[target.prompt].mask for target in targets],
        seed=settings.seed,
        refine_layout=settings.refine_layout,
        preset=settings.preset,
        memory=session.memory(),
        depth=depth_files.known_depth(image),
        focal_px=depth_files.focal_length(image),
    )
    reconstruction = Reconstruction(
        job,
        scene.session_uid,
        image.session_uid,
        tuple(targets),
        tuple(target.name for target in done),
        settings.seed,
        replace,
    )
    session.follow(job, lambda job: None)
    return reconstruction


def _check_shape(prompt: SAM3D_PG_prompt, shape: Shape | None) -> None:
    """Raise ArtistError unless the object has a mask that is up to date and holds something."""
    if not prompt.is_current:
        reason = prompt.message or "Its mask is still being found; try again in a moment"
    elif shape is None:
        reason = prompt.message or "No click is on it"
    elif shape.area < masks.SMALLEST_MASK:
        reason = f"{shape.warning}; remove it, or turn off Smaller Object Wins in the ▾ menu"
    else:
        return
    raise ArtistError(f"“{prompt.name}” cannot be reconstructed. {reason.rstrip('.')}.")


def finish_reconstruction() -> list[bpy.types.Object]:
    """Write the objects of the reconstruction that is over. Raises ArtistError if it failed.

    Where nothing came of one, its `message` says so.
    """
    run = reconstruction
    result = session.result_of(run.job)
    scene, image = found_again(bpy.data.scenes, run.scene), found_again(bpy.data.images, run.photo)
    if image is None:
        raise ArtistError("The photo is gone from the file; load it and reconstruct again.")
    if scene is None:
        raise ArtistError("The scene that the objects were for is gone from the file; reconstruct again.")
    scene.sam3d.peak_memory_mb = result.peak_memory / 2**20
    made = dict(zip(run.targets, result.objects, strict=True))
    empty = {target.prompt: target.name for target, surface in made.items() if surface is None}
    run.empty = tuple(empty.values())
    for prompt in image.sam3d.prompts:
        if prompt.uuid in empty:
            prompt.message = NOTHING_MADE
        elif prompt.message == NOTHING_MADE:
            prompt.message = ""
    parts = [Part(*target, surface) for target, surface in made.items() if surface is not None]
    return write_reconstruction(scene, image, parts, result.intrinsics, run.seed, run.replace)


def reconstruct(replace: bool = False, on_progress: OnProgress | None = None) -> list[bpy.types.Object]:
    """Reconstruct every object of the photo that has a mask and return the objects when all is done.

    replace: as of `start_reconstruction`. on_progress: called with the job at each piece of news.
    """
    marking.find_masks()
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
