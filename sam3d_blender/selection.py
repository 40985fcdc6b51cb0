"""What is being worked on: the scene's photo, and the object of it that is named or active."""

from collections.abc import Iterable

import bpy

from .core.errors import ArtistError
from .properties import SAM3D_PG_prompt


def current_photo() -> bpy.types.Image:
    """The photo that is worked on. Raises ArtistError when there is none."""
    image = bpy.context.scene.sam3d.photo
    if image is None:
        raise ArtistError("There is no photo yet; load one in the SAM 3D tab of the Image Editor.")
    return image


def found_again(blocks: Iterable[bpy.types.ID], session_uid: int) -> bpy.types.ID | None:
    """Of `bpy.data.images` or the like, the one with that `session_uid`, whatever it is called by now.

    None when it is gone. Undo keeps the number; loading a file gives new ones.
    """
    return next((block for block in blocks if block.session_uid == session_uid), None)


def find_object(name: str | None = None) -> SAM3D_PG_prompt:
    """An object of the photo, by default the active one.

    Raises ArtistError when there is none such, or several have the name: the list lets them be called alike.
    """
    prompts = current_photo().sam3d
    named = [prompt for prompt in prompts.prompts if prompt.name == name]
    if len(named) > 1:
        raise ArtistError(f"{len(named)} objects of the photo are called “{name}”; rename all but one.")
    prompt = prompts.active if name is None else next(iter(named), None)
    if prompt is None:
        missing = "No object is chosen" if name is None else f"The photo has no object “{name}”"
        raise ArtistError(f"{missing}; add one first.")
    return prompt
