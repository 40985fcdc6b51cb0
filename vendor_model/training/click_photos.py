"""Cluttered photos with their regions, kept in files: what the click network is trained on."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vendor_model.moving import move
from vendor_model.segmentation.regions import RegionGraph, region_graph
from vendor_model.training.clutter import Clutter, from_scene, make_clutter, objects
from vendor_model.training.scenes import make_scene
from vendor_model.training.shards import read_arrays

SIZES = ((288, 384), (320, 320), (384, 288))
"""(height, width) of the photos, by turns."""


@dataclass(frozen=True)
class ClickPhoto:
    """rgb: (H, W, 3) uint8. owner: (H, W) uint8 as in `clutter.Clutter`. graph: of the photo. targets: the
    owners worth clicking."""

    rgb: np.ndarray
    owner: np.ndarray
    graph: RegionGraph
    targets: tuple[int, ...]


def write_photos(
    folder: Path, seed: int, shards: int, photos: int, plain: float, categories: Sequence[str]
) -> None:
    """Write `shards` files of `photos` each, made out of as many scenes of the categories; a share `plain` of
    the photos are scenes as they are. Each file depends on the seed and its own number alone, and is kept
    where it exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        path = folder / f"clicks-{seed}-{number:04d}.npz"
        if path.exists():
            continue
        rng, size = np.random.default_rng((seed, number)), SIZES[number % len(SIZES)]
        scenes = [from_scene(make_scene(rng, size, categories=categories)) for _ in range(photos)]
        write_shard(path, [scene if rng.random() < plain else make_clutter(rng, scenes) for scene in scenes])


def write_shard(path: Path, photos: Sequence[Clutter]) -> None:
    """All of them in one file, with their regions."""
    arrays = {}
    for index, photo in enumerate(photos):
        arrays |= {f"{index}/rgb": photo.photo, f"{index}/owner": photo.owner}
        graph = region_graph(photo.photo)
        for entry in dataclasses.fields(RegionGraph):
            value = getattr(graph, entry.name)
            arrays[f"{index}/{entry.name}"] = value.astype(np.uint16) if value.dtype.kind == "i" else value
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez(file, **arrays)
    move(partial, path)


def read_photos(folder: Path) -> Iterator[ClickPhoto]:
    """The photos of all files that can be read, where they show something to click."""
    for path in sorted(folder.glob("clicks-*.npz")):
        arrays = read_arrays(path) or {}
        for index in range(sum(name.endswith("/rgb") for name in arrays)):
            graph = RegionGraph(
                *(arrays[f"{index}/{entry.name}"] for entry in dataclasses.fields(RegionGraph))
            )
            owner = arrays[f"{index}/owner"]
            if objects(owner):
                yield ClickPhoto(arrays[f"{index}/rgb"], owner, graph, tuple(objects(owner)))
