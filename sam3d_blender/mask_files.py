"""Objects whose masks come from images, and masks saved as images. Refusals are `ArtistError`s."""

import re
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from .core import masks
from .core.errors import ArtistError
from .properties import SAM3D_PG_prompt
from .scene import photo as photos
from .selection import current_photo

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr")

MaskSource = str | Path | bpy.types.Image
"""An image file, or an image of this Blender, as it is painted now."""


def add_mask(source: MaskSource, name: str = "") -> SAM3D_PG_prompt:
    """Add an object with a mask from an image of the photo's size, as `core.masks.from_pixels` reads it.

    name: of the object, by default the image's.
    """
    rgba, origin = _read(source)
    [prompt] = _add([(name or Path(origin).stem, masks.from_pixels(rgba, origin), origin)])
    return prompt


def add_masks(folder: str | Path) -> list[SAM3D_PG_prompt]:
    """Add an object for each image file of a folder, in the order of their numbers and names.

    The photo itself, if it lies there, is left out. Nothing is added when one of the files is no mask.
    """
    folder = Path(bpy.path.abspath(str(folder)))
    photo = current_photo()
    files = [path for path in _image_files(folder) if not photos.is_file_of(photo, path)]
    if not files:
        raise ArtistError(
            f"There are no image files in “{folder}”; choose a folder with one mask per object."
        )
    return _add(
        [(path.stem, masks.from_pixels(photos.file_pixels(path), path.name), path.name) for path in files]
    )


def add_index_masks(source: MaskSource) -> list[SAM3D_PG_prompt]:
    """Add an object for each colour of an index image but black; see `core.masks.from_indices`."""
    rgba, origin = _read(source)
    stem = Path(origin).stem
    found = enumerate(masks.from_indices(rgba, origin), start=1)
    return _add([(f"{stem} {number}", mask, f"{origin}, colour {number}") for number, mask in found])


def save_masks(folder: str | Path, overwrite: bool = False) -> list[Path]:
    """Write the mask of every object as it shows into a folder, so that `add_masks` reads the same again.

    Each is a PNG of the photo's size, white on black, named after its object, but for letters that files
    cannot have. overwrite: files of these names, such as masks saved before, but for the photo.
    """
    image = current_photo()
    shapes = image.sam3d.shapes()
    prompts = [prompt for prompt in image.sam3d.prompts if prompt.uuid in shapes]
    if not prompts:
        raise ArtistError("No object has a mask to save yet; click one in the photo, or add a mask.")
    folder = Path(bpy.path.abspath(str(folder)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtistError(f"“{folder}” cannot be made; choose a folder that you may write to.") from error
    paths = [folder / f"{name}.png" for name in _file_names([prompt.name for prompt in prompts])]
    present = [path for path in paths if path.exists()]
    if present and not overwrite:
        more = f" and {len(present) - 1} more" if present[1:] else ""
        raise ArtistError(
            f"“{present[0].name}”{more} would be replaced in “{folder}”; "
            "choose another folder, or turn on Overwrite."
        )
    if any(photos.is_file_of(image, path) for path in present):
        raise ArtistError("One of the masks would replace the photo itself; choose another folder.")
    for prompt, path in zip(prompts, paths, strict=True):
        photos.write_mask(path, shapes[prompt.uuid].mask)
    return paths


def _read(source: MaskSource) -> tuple[np.ndarray, str]:
    """The (H, W, 4) pixels of a source, and what it is called."""
    if isinstance(source, bpy.types.Image):
        return photos.pixels(source), source.name
    return photos.file_pixels(source), Path(source).name


def _add(found: Sequence[tuple[str, np.ndarray, str]]) -> list[SAM3D_PG_prompt]:
    """Add an object for each (name, mask, origin); none when one of the masks is refused."""
    image = current_photo()
    photos.check_unchanged(image)
    size = photos.size(image)
    for _, mask, origin in found:
        masks.check(mask, size, origin)
    prompts = image.sam3d
    first = len(prompts.prompts)
    for name, mask, _ in found:
        prompts.new_prompt(name).mask = masks.pack(mask)
    return prompts.prompts[first:]


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ArtistError(f"There is no folder “{folder}”; choose one with a mask for each object.")
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(files, key=lambda path: [_numbered(part) for part in re.split(r"(\d+)", path.stem.lower())])


def _numbered(part: str) -> tuple[int, str]:
    """Sorts "2" before "10", and numbers before words."""
    return (int(part), "") if part.isdecimal() else (-1, part)


def _file_name(name: str) -> str:
    stem = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name).strip(" .") or "object"
    # With these Windows means devices, whatever follows a dot.
    return re.sub(r"^(con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?= *(\.|$))", r"\1_", stem, flags=re.IGNORECASE)


def _file_names(names: Sequence[str]) -> list[str]:
    """What files of that name can be called on every system, none twice whether or not case counts."""
    called = []
    for name in names:
        stem = wanted = _file_name(name)
        number = 2
        while stem.lower() in (other.lower() for other in called):
            stem, number = f"{wanted} {number}", number + 1
        called.append(stem)
    return called
