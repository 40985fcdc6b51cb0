"""What is being worked on: the scene's photo, and the object of it that is named or active."""

import bpy

from .core.errors import ArtistError
from .properties import SAM3D_PG_prompt


def current_photo() -> bpy.types.Image:
    """The photo that is worked on. Raises ArtistError when there is none."""
    image = bpy.context.scene.sam3d.photo
    if image is None:
        raise ArtistError("There is no photo yet; load one in the SAM 3D tab of the Image Editor.")
    return image


def find_object(name: str | None = None) -> SAM3D_PG_prompt:
    """An object of the photo, by default the active one. Raises ArtistError when there is none such."""
    prompts = current_photo().sam3d
    prompt = prompts.active if name is None else prompts.prompts.get(name)
    if prompt is None:
        wanted = "that object" if name is None else f"“{name}”"
        raise ArtistError(f"The photo has no object {wanted}; add an object first.")
    return prompt
