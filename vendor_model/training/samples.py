"""Objects of generated scenes as what the networks are trained on.

They are cropped and normalised by the product's own preprocessing before they are stored, and disturbed
when they are read again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.errors import MaskError
from vendor_model.layout.pose import denormalise_rotation_6d, encode_pose, normalise_rotation_6d
from vendor_model.layout.transforms import matrix_to_rotation_6d, rotation_6d_to_matrix
from vendor_model.preprocessing import PreprocessorSettings, geometry_inputs, prepare_photo
from vendor_model.training.canonical import canonical_pose
from vendor_model.training.objectives import soft_overlap
from vendor_model.training.objects import distance_grid
from vendor_model.training.scenes import Scene
from vendor_model.training.shape_latent import TRUNCATION, truncate
from vendor_model.training.structured_latent import features, occupied_voxels, shell_coords
from vendor_model.types import Pose


@dataclass(frozen=True)
class SampleSizes:
    """photos: (height, width) of the rendered photos, by turns; picture: side of the embedders' pictures;
    points: of the stored point maps; voxels: of the distance grid."""

    photos: tuple[tuple[int, int], ...] = ((192, 256), (224, 224), (256, 192))
    picture: int = 96
    points: int = 32
    voxels: int = 32


MINIMUM_PIXELS = 120
"""An object with fewer visible pixels is no training sample."""

MIRROR_IMAGES = 0.9
"""Overlap of a solid with its mirror image from which on its two sides count as alike."""

DISTURBED = 0.4
"""Share of the point maps that are disturbed before they are trained on."""

PICTURES, MASKS, MAPS = ("image", "rgb_image"), ("mask", "rgb_image_mask"), ("pointmap", "rgb_pointmap")
INPUTS = (*PICTURES, *MASKS, *MAPS)
POSE_LATENTS = ("6drotation_normalized", "translation", "scale", "translation_scale")


def object_samples(scene: Scene, sizes: SampleSizes, voxels: bool = True) -> Iterator[dict[str, np.ndarray]]:
    """Every sufficiently visible object of a scene as named arrays, channels first, without a batch axis.

    voxels: also `coords` and `features`, of the texture model's structured latent."""
    settings = PreprocessorSettings(size=sizes.picture)
    photo = prepare_photo(scene.photo, scene.point_map, settings)
    for index, (shape, pose) in enumerate(scene.objects):
        if scene.masks[index].sum() < MINIMUM_PIXELS:
            continue
        try:
            inputs = geometry_inputs(photo, scene.masks[index], settings)
        except MaskError:
            continue
        distances = distance_grid(shape, sizes.voxels)
        pose = canonical_pose(shape, pose, distances)
        latents = stored_pose(pose, inputs)
        if latents is None:
            continue
        sample = {
            **stored_inputs(inputs, sizes.points),
            **latents,
            "distances": np.round(truncate(distances) * 127).astype(np.int8),
            "visible_fraction": np.float32(scene.visible_fraction[index]),
            "category": np.array(shape.category),
            "kind": np.array(scene.kind),
        }
        if voxels:
            coords = shell_coords(occupied_voxels(distances), 1)
            sample["coords"] = coords[:, 1:].numpy().astype(np.uint8)
            sample["features"] = features(shape, coords, sizes.voxels).astype(np.float16)
        yield sample


def stored_inputs(inputs: Mapping[str, Tensor], points: int) -> dict[str, np.ndarray]:
    """Pictures and masks as bytes, point maps of points x points in half precision."""
    return {
        **{name: _bytes(inputs[name]) for name in (*PICTURES, *MASKS)},
        **{name: _points(inputs[name], points) for name in MAPS},
    }


def stored_pose(pose: Pose, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray] | None:
    """The pose's latents, float32; None when they are not finite, as with an object without points."""
    values = (torch.as_tensor(value).float()[None] for value in (pose.rotation, pose.translation, pose.scale))
    latents = encode_pose(*values, inputs["pointmap_scale"], inputs["pointmap_shift"])
    if not all(value.isfinite().all() for value in latents.values()):
        return None
    return {name: latents[name].reshape(-1).numpy().astype(np.float32) for name in POSE_LATENTS}


def _bytes(picture: Tensor) -> np.ndarray:
    return (picture[0] * 255).round().clamp(0, 255).byte().numpy()


def _points(point_map: Tensor, size: int) -> np.ndarray:
    points = F.interpolate(point_map, (size, size), mode="nearest")[0]
    return points.clamp(-6e4, 6e4).half().numpy()


def distances_of(stored: Tensor) -> Tensor:
    """Stored int8 distances to object lengths."""
    return stored.float() / 127 * TRUNCATION


def mirrored(batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """A batch as stored, half of its samples as in a mirror: a new photo of a new object for each.

    The camera's left and right change places, and in the object frame those of its two sides, x or y, that
    are the more alike: the mirrored mug still has its handle where mugs have it. An object with two unlike
    sides both ways would have no such place, and stays.
    """
    solid = (batch["distances"] < 0).float()
    alike = torch.stack([soft_overlap(solid, solid.flip(axis)) for axis in (1, 2)])
    chance = torch.rand(len(solid), generator=rng, device=rng.device)
    chosen = (chance < 0.5) & (alike.amax(0) >= MIRROR_IMAGES)
    across_y = alike[1] > alike[0]

    def swap(values: Tensor, changed: Tensor, where: Tensor = chosen) -> Tensor:
        return torch.where(where.view(-1, *[1] * (values.ndim - 1)), changed, values)

    result = dict(batch)
    for name in (*PICTURES, *MASKS):
        result[name] = swap(batch[name], batch[name].flip(-1))
    for name in MAPS:
        result[name] = swap(
            batch[name], batch[name].flip(-1) * batch[name].new_tensor([-1, 1, 1])[:, None, None]
        )
    flipped = swap(batch["distances"].flip(1), batch["distances"].flip(2), across_y)
    result["distances"] = swap(batch["distances"], flipped)
    left_right = batch["translation"].new_tensor([-1, 1, 1])
    result["translation"] = swap(batch["translation"], batch["translation"] * left_right)
    rotation = rotation_6d_to_matrix(denormalise_rotation_6d(batch["6drotation_normalized"]))  # for rows
    sides = swap(left_right.expand(len(solid), 3), left_right.roll(1).expand(len(solid), 3), across_y)
    turned = matrix_to_rotation_6d(sides[:, :, None] * rotation * left_right)
    result["6drotation_normalized"] = swap(batch["6drotation_normalized"], normalise_rotation_6d(turned))
    return result


def plain_inputs(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored arrays of a batch to the condition embedder's inputs, as they were."""
    inputs = {name: batch[name].float() / 255 for name in (*PICTURES, *MASKS)}
    return inputs | {name: batch[name].float() for name in MAPS}


def embedder_inputs(batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Stored arrays of a batch to the condition embedder's inputs, in other light.

    Of the point maps DISTURBED are wrong by a smooth relative error and by grain, as those of a scanner or of
    another depth model may be.
    """
    inputs, count = plain_inputs(batch), len(batch["image"])
    draw = partial(torch.randn, generator=rng, device=rng.device)
    brightness = 1 + 0.1 * draw(count, 3, 1, 1)
    for name in PICTURES:
        inputs[name] = (inputs[name] * brightness).clamp(0, 1)
    coarse = draw(count, 3, 4, 4) * 0.03
    exact = torch.rand(count, generator=rng, device=rng.device).view(-1, 1, 1, 1) >= DISTURBED
    for name in MAPS:
        points = inputs[name]
        smooth = F.interpolate(coarse, points.shape[-2:], mode="bicubic", align_corners=True)
        grain = 0.005 * draw(points.shape)
        inputs[name] = torch.where(exact, points, points + smooth * (0.3 + points.abs()) + grain)
    return inputs
