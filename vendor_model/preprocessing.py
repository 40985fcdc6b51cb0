"""From a photo, an object's mask and a point map to the square inputs of the condition embedders.

Source: spec pipeline.md §6. Everything here runs on CPU float32 tensors, channels first: antialiased
resizing and nanmedian are missing on some devices. The object is cropped with its surroundings; the
background stays, only the mask tells the object apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.errors import MaskError

PHOTO_INPUTS = ("rgb_image",)
"""Inputs of the condition embedders that show the whole photo, whatever the mask."""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom exclusive; may reach beyond the photo."""


@dataclass(frozen=True)
class ObjectCentricSSI:
    """Scale- and shift-invariant point maps around an object (spec pipeline.md §6.5).

    The shift is the object's median point. use_scene_scale: True takes the scale from the whole
    scene, False from the spread of the object's points between two quantiles, "object_norm_median"
    from their median distance. Points further than clip_beyond_scale from the shift, in normalised
    units, become NaN.
    """

    use_scene_scale: bool | str = True
    scale_factor: float = 1.0
    quantile: float = 0.1
    clip_beyond_scale: float | None = None
    allow_scale_and_shift_override: bool = True

    def __post_init__(self):
        if self.use_scene_scale not in (True, False, "object_norm_median"):
            raise ValueError(
                f"use_scene_scale is {self.use_scene_scale!r}; it is True, False or 'object_norm_median'"
            )

    def normalize(
        self, points: Tensor, mask: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(3, H, W) points and a (1, h, w) mask in 0..1 -> normalised points, scale (3,), shift (3,).

        A given scale or shift replaces the statistic where allow_scale_and_shift_override is set. A
        pixel with a coordinate that is not finite becomes NaN in all three.
        """
        if not self.allow_scale_and_shift_override:
            scale = shift = None
        if scale is None or shift is None:
            measured_scale, measured_shift = self._statistics(points, mask)
            scale = measured_scale if scale is None else scale
            shift = measured_shift if shift is None else shift
        normalized = (points - shift.view(3, 1, 1)) / scale.view(3, 1, 1)
        keep = normalized.isfinite().all(dim=0)
        if self.clip_beyond_scale is not None:
            keep &= normalized.norm(dim=0) <= self.clip_beyond_scale
        return normalized.where(keep, torch.nan), scale, shift

    @staticmethod
    def denormalize(points: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """The inverse of `normalize` for points that it kept: (3, H, W) -> (3, H, W)."""
        return points * scale.view(3, 1, 1) + shift.view(3, 1, 1)

    def _statistics(self, points: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Scale (3,) and shift (3,); scale_factor and 0 where the map knows no point of the object."""
        masked = points[:, _nearest(mask, points.shape[-2:])[0] > 0.5]
        if not masked.isfinite().all(dim=0).any():
            return torch.full((3,), float(self.scale_factor)), torch.zeros(3)
        shift = masked.nanmedian(dim=1).values
        if self.use_scene_scale is True:
            scale = (points - shift.view(3, 1, 1)).abs().amax(dim=0).nanmedian()
        else:
            radii = (masked - shift.view(3, 1)).norm(dim=0)
            if self.use_scene_scale == "object_norm_median":
                scale = radii.nanmedian()
            else:
                # numpy, because torch.quantile refuses more than 2^24 values.
                low, high = np.nanquantile(radii.numpy(), [self.quantile, 1 - self.quantile])
                scale = torch.tensor(2 * (high - low), dtype=points.dtype)
        return (scale * self.scale_factor).expand(3), shift


@dataclass(frozen=True)
class PreprocessorSettings:
    """size: side of the square inputs in pixels. box_size_factor: crop side over the object's longer
    side. padding_factor: empty margin around the crop, as a part of its side."""

    size: int = 518
    box_size_factor: float = 1.2
    padding_factor: float = 0.0
    normalizer: ObjectCentricSSI = field(default_factory=ObjectCentricSSI)


@dataclass(frozen=True)
class PreparedPhoto:
    """What all objects of one photo share.

    rgb: (3, H, W) in 0..1; rgb_image: (1, 3, size, size), the padded whole photo; points: (3, h, w)
    camera frame, NaN where invalid, at its own resolution, or None.
    """

    rgb: Tensor
    rgb_image: Tensor
    points: Tensor | None


def prepare_photo(
    rgb: np.ndarray, points: np.ndarray | None, settings: PreprocessorSettings
) -> PreparedPhoto:
    """rgb: (H, W, 3) uint8; points: (h, w, 3) float32 in the camera frame, or None for no point map."""
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float().div_(255)
    if points is not None:
        points = torch.from_numpy(np.ascontiguousarray(points)).permute(2, 0, 1)
    return PreparedPhoto(image, square_image(image, settings.size)[None], points)


def texture_inputs(
    photo: PreparedPhoto, mask: np.ndarray, settings: PreprocessorSettings
) -> Mapping[str, Tensor]:
    """Inputs of the second stage for one object, by the condition embedder's names.

    mask: (H, W) bool, or float in 0..1, of the photo's size. Returns image and rgb_image
    (1, 3, size, size), mask and rgb_image_mask (1, 1, size, size). Raises MaskError.
    """
    alpha = _alpha(photo, mask)
    box = crop_box(alpha, settings.box_size_factor)
    return {
        "image": square_image(crop(photo.rgb, box, settings.padding_factor), settings.size)[None],
        "mask": square_nearest(crop(alpha, box, settings.padding_factor), settings.size)[None],
        "rgb_image": photo.rgb_image,
        "rgb_image_mask": square_nearest(alpha, settings.size)[None],
    }


def geometry_inputs(
    photo: PreparedPhoto, mask: np.ndarray, settings: PreprocessorSettings
) -> Mapping[str, Tensor]:
    """Inputs of the first stage for one object: those of `texture_inputs`, and where the photo has a
    point map also pointmap and rgb_pointmap (1, 3, size, size), pointmap_scale and pointmap_shift (1, 3).

    The point map is normalised whole, before it is cropped (spec pipeline.md §6.2). Raises MaskError.
    """
    inputs = dict(texture_inputs(photo, mask, settings))
    if photo.points is None:
        return inputs
    alpha = _alpha(photo, mask)
    normalizer = settings.normalizer
    points, scale, shift = normalizer.normalize(photo.points, alpha)
    whole, _, _ = normalizer.normalize(photo.points, inputs["rgb_image_mask"][0], scale, shift)
    box = crop_box(alpha, settings.box_size_factor)
    aligned = resize_point_map(points, photo.rgb.shape[-2:])
    cropped = crop(aligned, box, settings.padding_factor, padding=torch.nan)
    return {
        **inputs,
        "pointmap": square_nearest(cropped, settings.size)[None],
        "rgb_pointmap": square_nearest(whole, settings.size)[None],
        "pointmap_scale": scale[None],
        "pointmap_shift": shift[None],
    }


def crop_box(mask: Tensor, box_size_factor: float) -> Box:
    """The square around all mask pixels that are not 0, (1, H, W) -> Box (spec pipeline.md §6.3).

    Raises MaskError for an empty mask and for one less than three pixels wide or high.
    """
    columns, rows = mask[0].any(dim=0).nonzero(), mask[0].any(dim=1).nonzero()
    if not len(columns):
        raise MaskError(
            "The mask is empty; it must cover at least 3 x 3 pixels, so click on the object again."
        )
    left, right, top, bottom = (int(edge) for edge in (columns[0], columns[-1], rows[0], rows[-1]))
    if right - left < 2 or bottom - top < 2:
        raise MaskError(
            f"The mask is only {right - left + 1} x {bottom - top + 1} pixels; it must be at least 3 x 3, "
            "so mark more of the object."
        )
    half = int(max(right - left, bottom - top) * box_size_factor) // 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return int(x - half), int(y - half), int(x + half), int(y + half)  # int() truncates toward zero


def crop(image: Tensor, box: Box, padding_factor: float, padding: float = 0.0) -> Tensor:
    """(C, H, W) -> (C, m, m): the box with zeros beyond the photo, then centred in a square that is
    filled with `padding` (spec pipeline.md §6.3)."""
    left, top, right, bottom = box
    height, width = image.shape[-2:]
    image = F.pad(image, (-left, right - width, -top, bottom - height))  # negative padding cuts
    margin = int(max(image.shape[-2:]) * padding_factor)
    return F.pad(_centred(image, padding), (margin,) * 4, value=padding)


def square_image(image: Tensor, size: int) -> Tensor:
    """(C, H, W) -> (C, size, size): centred on black, bilinear with antialias (spec pipeline.md §6.4)."""
    image = _centred(image, 0.0)
    return image if image.shape[-1] == size else _bilinear(image, (size, size))


def square_nearest(image: Tensor, size: int) -> Tensor:
    """As `square_image` for masks and point maps: nearest, so that no values are mixed."""
    return _nearest(_centred(image, 0.0), (size, size))


def resize_point_map(points: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, h, w) -> (3, *size), bilinear with antialias; NaN where the nearest pixel has a NaN
    coordinate (spec pipeline.md §6.4). The same tensor if it has that size already."""
    if points.shape[-2:] == tuple(size):
        return points
    invalid = points.isnan().any(dim=0, keepdim=True)
    resized = _bilinear(points.where(~points.isnan(), 0.0), size)
    return resized.where(_nearest(invalid.float(), size) <= 0.5, torch.nan)


def _alpha(photo: PreparedPhoto, mask: np.ndarray) -> Tensor:
    alpha = torch.as_tensor(mask, dtype=torch.float32)[None]
    assert alpha.shape[-2:] == photo.rgb.shape[-2:], f"mask {alpha.shape} of a photo {photo.rgb.shape}"
    return alpha


def _centred(image: Tensor, value: float) -> Tensor:
    height, width = image.shape[-2:]
    x, y = max(height - width, 0), max(width - height, 0)
    return F.pad(image, (x // 2, x - x // 2, y // 2, y - y // 2), value=value) if x or y else image


def _bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def _nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    return image if image.shape[-2:] == tuple(size) else F.interpolate(image[None], size, mode="nearest")[0]
