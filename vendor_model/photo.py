"""Read photos and mask images from files: upright, 8 bits, or refused in one sentence."""

import io
import math
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from vendor_model.errors import MaskError, PhotoError, UserError
from vendor_model.types import Photo

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "JPEG2000", "BMP", "GIF", "TGA", "PPM")
"""Pillow's decoders that are used; some of the others start external programs."""
MIN_SIDE = 16
MAX_MEGAPIXELS = 64
"""Point map and colours of more pixels do not fit into an ordinary machine's memory beside the model."""
DIAGONAL_35MM = math.hypot(36, 24)


def read_photo(path: str | Path) -> Photo:
    """The photo in an image file.

    Turned upright by its EXIF orientation; colours converted to sRGB from the embedded profile; 16 bits
    scaled to 8; the first picture of an animation. Alpha is ignored and the stored colours are kept, as
    in the released model, to which alpha is a mask and never a colour. focal_px comes from the 35 mm
    equivalent that the camera wrote, unless the picture was cropped since. Raises PhotoError.
    """
    image, focal_px = _read(Path(path), PhotoError, "photo")
    rgb = np.array(_srgb(image))  # a copy: Pillow's own memory is read-only
    if min(image.size) < MIN_SIDE:
        raise PhotoError(
            f"The photo '{Path(path).name}' is only {image.width} x {image.height} pixels; "
            f"choose one of at least {MIN_SIDE} x {MIN_SIDE}."
        )
    return Photo(rgb, focal_px)


def read_mask(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """The mask in an image file: (H, W) bool of the photo's size (height, width), True on the object.

    Alpha above half where the image has an alpha channel that varies, else luminance above half.
    Raises MaskError.
    """
    image, _ = _read(Path(path), MaskError, "mask")
    height, width = size
    if image.size != (width, height):
        raise MaskError(
            f"The mask '{Path(path).name}' has {image.width} x {image.height} pixels but the photo has "
            f"{width} x {height}; save the mask at the photo's size."
        )
    value = np.asarray(image.convert("L"))
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        value = alpha if alpha.min() < alpha.max() else value
    mask = value > 127
    if not mask.any():
        raise MaskError(
            f"The mask '{Path(path).name}' is empty; paint the object white on black and save it again."
        )
    return mask


def read_objects(folder: Path) -> tuple[Photo, list[np.ndarray]]:
    """A photo and the masks (H, W) bool of its objects, by their numbers.

    The folder holds photo.png or image.png, and one image per object: mask_<k>.png, white on the object, or
    <k>.png, opaque on it. Raises PhotoError, MaskError.
    """
    photos = [folder / name for name in ("photo.png", "image.png") if (folder / name).is_file()]
    files = [path for path in folder.glob("*.png") if re.fullmatch(r"(mask_)?\d+", path.stem)]
    if not (photos and files):
        raise PhotoError(
            f"The folder '{folder}' holds {len(photos)} photos and {len(files)} masks; give one with "
            "photo.png or image.png and mask_<k>.png or <k>.png."
        )
    photo = read_photo(photos[0])
    files.sort(key=lambda path: int(path.stem.removeprefix("mask_")))
    return photo, [read_mask(path, photo.size) for path in files]


def _read(path: Path, error: type[UserError], kind: str) -> tuple[Image.Image, float | None]:
    """The decoded, upright picture with 8 bits a channel, and its focal length in pixels."""
    name = f"The {kind} '{path.name}'"
    try:
        if path.is_dir():
            raise error(f"{name} is a folder; choose an image file.")
        if not path.exists():
            raise error(f"{name} does not exist in {path.parent}; choose another file.")
        if not path.is_file() or path.stat().st_size == 0:
            raise error(f"{name} is an empty file; save or copy it again.")
        with warnings.catch_warnings():
            # Large pictures are refused below, by a limit of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Not by its path: of a plain TIFF that is mapped into memory Pillow forgets how it lies.
            with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                    raise error(
                        f"{name} has {image.width * image.height / 1e6:.0f} megapixels; "
                        f"save a copy of at most {MAX_MEGAPIXELS}."
                    )
                image.load()
                focal_px = _focal_px(image)
                return _eight_bits(ImageOps.exif_transpose(image), error, name), focal_px
    except PermissionError:
        raise error(f"{name} may not be read by this user; change its permissions or copy it.") from None
    except Image.DecompressionBombError:
        raise error(
            f"{name} has far too many pixels; save a copy of at most {MAX_MEGAPIXELS} megapixels."
        ) from None
    except UnidentifiedImageError:
        raise error(f"{name} is not an image that can be read; save it as PNG or JPEG.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as cause:
        raise error(f"{name} is damaged or cut short ({cause}); save or copy it again.") from None


def _eight_bits(image: Image.Image, error: type[UserError], name: str) -> Image.Image:
    """Scale one channel of 16 bits, which Pillow would clip; it scales colours of 16 bits by itself. Raises
    for what it cannot convert."""
    if image.mode == "LAB":
        raise error(f"{name} has Lab colours; save it with RGB colours.")
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise error(f"{name} has 32 bits a pixel; save it with 8 or 16 bits.")
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    return image


def _srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        try:
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, io.BytesIO(profile), target, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a profile that does not fit the picture says nothing about its colours
    return image.convert("RGB")


def _focal_px(image: Image.Image) -> float | None:
    """From EXIF's 35 mm equivalent, which compares diagonals; None when it is missing or the picture's
    aspect is no longer the one that the camera wrote."""
    exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    equivalent = exif.get(ExifTags.Base.FocalLengthIn35mmFilm)
    if not isinstance(equivalent, int | float) or equivalent <= 0:
        return None
    recorded = exif.get(ExifTags.Base.ExifImageWidth), exif.get(ExifTags.Base.ExifImageHeight)
    if all(isinstance(side, int) and side > 0 for side in recorded):
        before, now = recorded[0] / recorded[1], image.width / image.height
        if not math.isclose(before, now, rel_tol=0.02):
            return None
    return equivalent / DIAGONAL_35MM * math.hypot(image.width, image.height)
