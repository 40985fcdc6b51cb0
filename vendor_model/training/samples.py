"""Scenes of the generator cut into what the networks are trained on, streamed through files.

`write_shards` renders scenes and stores their objects, already cropped and normalised by the product's
own preprocessing, in `shard-<number>.npz` files (no pickle). `Shards` reads them back in random order.
A shard that cannot be read is named and left out.
"""

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.errors import MaskError
from vendor_model.layout.pose import encode_pose
from vendor_model.preprocessing import PreprocessorSettings, geometry_inputs, prepare_photo
from vendor_model.training.canonical import canonical_pose
from vendor_model.training.objects import distance_grid
from vendor_model.training.scenes import Scene, make_scene
from vendor_model.training.shape_latent import truncate
from vendor_model.training.structured_latent import features, occupied_voxels, shell_coords


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

POSE_LATENTS = ("6drotation_normalized", "translation", "scale", "translation_scale")


def object_samples(scene: Scene, sizes: SampleSizes) -> Iterator[dict[str, np.ndarray]]:
    """Every sufficiently visible object of a scene as named arrays, channels first, without a batch axis."""
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
        latents = encode_pose(
            *(
                torch.as_tensor(value).float()[None]
                for value in (pose.rotation, pose.translation, pose.scale)
            ),
            inputs["pointmap_scale"],
            inputs["pointmap_shift"],
        )
        if not all(value.isfinite().all() for value in latents.values()):
            continue
        coords = shell_coords(occupied_voxels(distances), 1)
        yield {
            **{name: _bytes(inputs[name]) for name in ("image", "rgb_image", "mask", "rgb_image_mask")},
            **{name: _points(inputs[name], sizes.points) for name in ("pointmap", "rgb_pointmap")},
            **{name: latents[name].reshape(-1).numpy().astype(np.float32) for name in POSE_LATENTS},
            "distances": np.round(truncate(distances) * 127).astype(np.int8),
            "coords": coords[:, 1:].numpy().astype(np.uint8),
            "features": features(shape, coords, sizes.voxels).astype(np.float16),
            "visible_fraction": np.float32(scene.visible_fraction[index]),
            "category": np.array(shape.category),
        }


def _bytes(picture: Tensor) -> np.ndarray:
    return (picture[0] * 255).round().clamp(0, 255).byte().numpy()


def _points(point_map: Tensor, size: int) -> np.ndarray:
    points = F.interpolate(point_map, (size, size), mode="nearest")[0]
    return points.clamp(-6e4, 6e4).half().numpy()


def write_shards(
    folder: Path, seed: int, count: int, scenes_per_shard: int, categories: Sequence[str], sizes: SampleSizes
) -> None:
    """Write `count` shards; scene n of shard k depends on (seed, k, n) alone. Shards that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        size = sizes.photos[number % len(sizes.photos)]
        path = folder / f"shard-{seed}-{number:05d}.npz"
        if path.exists():
            continue
        samples, photos, maps = [], [], []
        for index in range(scenes_per_shard):
            scene = make_scene(np.random.default_rng((seed, number, index)), size, categories=categories)
            samples.extend(object_samples(scene, sizes))
            photos.append(scene.photo)
            maps.append(scene.point_map[::2, ::2].clip(-6e4, 6e4).astype(np.float16))
        arrays = {"photos": np.stack(photos), "maps": np.stack(maps)}
        ragged = {"coords", "features"}
        for name in samples[0]:
            join = np.concatenate if name in ragged else np.stack
            arrays[name] = join([sample[name] for sample in samples])
        arrays["voxel_counts"] = np.array([len(sample["coords"]) for sample in samples])
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
        os.replace(partial, path)


class Shards:
    """Random batches out of a folder of shards; new shards are found as they appear."""

    def __init__(self, folder: Path, seed: int):
        self.folder, self.rng, self.broken = folder, np.random.default_rng(seed), set()

    def arrays(self) -> Iterator[dict[str, np.ndarray]]:
        """Whole shards, for ever, each pass in a new order."""
        while True:
            paths = [path for path in sorted(self.folder.glob("shard-*.npz")) if path not in self.broken]
            if not paths:
                raise FileNotFoundError(f"{self.folder} holds no readable shards: write some first.")
            for index in self.rng.permutation(len(paths)):
                try:
                    with np.load(paths[index], allow_pickle=False) as file:
                        yield {name: file[name] for name in file.files}
                except (OSError, ValueError, zipfile.BadZipFile) as error:
                    print(f"{paths[index].name} is left out: {error}", flush=True)
                    self.broken.add(paths[index])

    def photos(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Photos (B, 3, H, W) in 0..1, and each other row and column of their point maps (B, H/2, W/2, 3)."""
        for shard in self.arrays():
            order = self.rng.permutation(len(shard["photos"]))
            for start in range(0, len(order) - size + 1, size):
                rows = order[start : start + size]
                photos = torch.from_numpy(shard["photos"][rows]).permute(0, 3, 1, 2).float() / 255
                yield photos, torch.from_numpy(shard["maps"][rows]).float()

    def batches(self, names: tuple[str, ...], size: int, mixed: int = 4) -> Iterator[dict[str, Tensor]]:
        """Batches of the named per-object arrays (equal shapes only), drawn from `mixed` shards at a time."""
        shards = self.arrays()
        while True:
            pool = [next(shards) for _ in range(mixed)]
            joined = {name: np.concatenate([shard[name] for shard in pool]) for name in names}
            order = self.rng.permutation(len(joined[names[0]]))
            for start in range(0, len(order) - size + 1, size):
                rows = order[start : start + size]
                yield {name: torch.from_numpy(values[rows]) for name, values in joined.items()}

    def sparse_batches(
        self, names: tuple[str, ...], size: int, most_voxels: int | None = None, mixed: int = 2
    ) -> Iterator[dict[str, Tensor]]:
        """As `batches`, with `coords` (N, 4) int32 and `features` (N, 8) of the batch's voxels added.

        most_voxels: of each object only so many, those nearest to a random one of it.
        """
        shards = self.arrays()
        while True:
            pool = [next(shards) for _ in range(mixed)]
            joined = {name: np.concatenate([shard[name] for shard in pool]) for name in names}
            counts = np.concatenate([shard["voxel_counts"] for shard in pool])
            starts = np.concatenate([[0], np.cumsum(counts)])
            coords = np.concatenate([shard["coords"] for shard in pool])
            voxels = np.concatenate([shard["features"] for shard in pool])
            order = self.rng.permutation(len(counts))
            for start in range(0, len(order) - size + 1, size):
                rows = order[start : start + size]
                kept = [np.arange(starts[row], starts[row + 1]) for row in rows]
                if most_voxels is not None:
                    kept = [self._nearest(coords, cells, most_voxels) for cells in kept]
                batch = np.repeat(np.arange(size, dtype=np.int32), [len(cells) for cells in kept])
                kept = np.concatenate(kept)
                cells = np.concatenate([batch[:, None], coords[kept].astype(np.int32)], axis=1)
                yield {
                    **{name: torch.from_numpy(values[rows]) for name, values in joined.items()},
                    "coords": torch.from_numpy(cells),
                    "features": torch.from_numpy(voxels[kept]).float(),
                }

    def _nearest(self, coords: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
        """Of the numbered cells the `count` nearest to a random one, in their order."""
        if len(cells) <= count:
            return cells
        places = coords[cells].astype(np.int32)
        distances = np.square(places - places[self.rng.integers(len(cells))]).sum(1)
        return cells[np.sort(np.argpartition(distances, count)[:count])]


def embedder_inputs(batch: dict[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Stored arrays of a batch to the condition embedder's inputs, photo and point map disturbed.

    At run time the point map comes from the depth model, so it is disturbed here as that model errs: by a
    smooth relative error, by grain, and in half of the samples by losing all relief.
    """
    inputs, count = {}, len(batch["image"])
    brightness = 1 + 0.1 * torch.randn(count, 3, 1, 1, generator=rng)
    for name in ("image", "rgb_image"):
        inputs[name] = (batch[name].float() / 255 * brightness).clamp(0, 1)
    for name in ("mask", "rgb_image_mask"):
        inputs[name] = batch[name].float() / 255
    coarse = torch.randn(count, 3, 4, 4, generator=rng) * 0.03
    flat = (torch.rand(count, generator=rng) < 0.5).view(-1, 1, 1, 1)
    for name in ("pointmap", "rgb_pointmap"):
        points = batch[name].float()
        smooth = F.interpolate(coarse, points.shape[-2:], mode="bicubic", align_corners=True)
        grain = 0.005 * torch.randn(points.shape, generator=rng)
        disturbed = torch.where(flat, without_relief(points), points)
        inputs[name] = disturbed + smooth * (0.3 + disturbed.abs()) + grain
    return inputs


def without_relief(point_map: Tensor, cells: int = 4) -> Tensor:
    """Point maps (B, 3, H, W) reduced to `cells` means along each side and spread out again; gaps are filled
    where a cell knows any point."""
    valid = point_map.isfinite().all(1, keepdim=True)
    known = point_map.where(valid, 0.0)
    means = F.adaptive_avg_pool2d(known, cells) / F.adaptive_avg_pool2d(valid.float(), cells).clamp(min=1e-6)
    return F.interpolate(means, point_map.shape[-2:], mode="bilinear", align_corners=False)
