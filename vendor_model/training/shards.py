"""Samples in files: written by several processes, streamed back in random order.

`write_shards` renders scenes and stores their objects in `shard-<seed>-<number>.npz` files (no pickle).
`Shards` reads them, also while more are being written. A shard that cannot be read is named and left out.
"""

import multiprocessing
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vendor_model.errors import UserError
from vendor_model.moving import move
from vendor_model.training.samples import SampleSizes, object_samples
from vendor_model.training.scenes import KINDS, Scene, make_scene


@dataclass(frozen=True)
class Selection:
    """Which samples a stage sees: from these kinds of scene, at least this share of the object visible."""

    kinds: tuple[str, ...] = KINDS
    least_visible: float = 0.0

    def __str__(self) -> str:
        visible = f", {self.least_visible:.0%} visible or more" if self.least_visible else ""
        return f"from scenes {' or '.join(self.kinds)}{visible}"

    def rows(self, shard: dict[str, np.ndarray]) -> np.ndarray:
        """Numbers of the chosen samples. Raises UserError for a shard that does not say their kinds."""
        return np.flatnonzero(
            (shard["visible_fraction"] >= self.least_visible) & of_kinds(shard, "kind", self.kinds)
        )


EVERYTHING = Selection()


def of_kinds(shard: dict[str, np.ndarray], name: str, kinds: Sequence[str]) -> np.ndarray | bool:
    """Which of a shard's rows are of these kinds of scene, by its array `name`. Raises UserError for a shard
    that does not say."""
    if set(kinds) == set(KINDS):
        return True
    if name not in shard:
        raise UserError(
            "The data does not say of what kind its scenes are, as this stage needs: "
            "move it away and write it again with the stage data."
        )
    return np.isin(shard[name], kinds)


Stored = tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""What is stored of a scene: arrays by name of each of its objects, and of its own."""


def whole_scene(scene: Scene, sizes: SampleSizes) -> Stored:
    """Objects with their voxels, and photo and point map for the depth model."""
    own = {
        "photos": scene.photo,
        "maps": scene.point_map[::2, ::2].clip(-6e4, 6e4).astype(np.float16),
        "photo_kind": np.array(scene.kind),
    }
    return list(object_samples(scene, sizes)), own


def write_shards(
    folder: Path,
    seed: int,
    count: int,
    scenes_per_shard: int,
    categories: Sequence[str],
    sizes: SampleSizes,
    workers: int = 1,
    store: Callable[[Scene, SampleSizes], Stored] = whole_scene,
) -> None:
    """Write `count` shards, so many processes at a time, and print how fast; scene n of shard k depends on
    (seed, k, n) alone. Shards that exist are kept. store: what is kept of a scene, sent to the processes.
    Raises UserError for a shard without any object."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {number: folder / f"shard-{seed}-{number:05d}.npz" for number in range(count)}
    missing = [number for number, path in paths.items() if not path.exists()]
    write = partial(_write_shard, folder, seed, scenes_per_shard, categories, sizes, store)
    started, done = time.monotonic(), 0
    threads = max(1, torch.get_num_threads() // workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (threads,)) as pool:
        counts = map(write, missing) if workers == 1 else pool.map(write, missing)
        for number, objects in zip(missing, counts, strict=True):
            done += objects
            rate = done / (time.monotonic() - started)
            print(f"{paths[number].name}: {objects} objects, {rate:.1f} objects/s", flush=True)


def _write_shard(
    folder: Path,
    seed: int,
    scenes_per_shard: int,
    categories: Sequence[str],
    sizes: SampleSizes,
    store: Callable[[Scene, SampleSizes], Stored],
    number: int,
) -> int:
    """One shard, written whole or not at all; returns its number of objects."""
    size = sizes.photos[number % len(sizes.photos)]
    samples, scenes = [], []
    for index in range(scenes_per_shard):
        scene = make_scene(np.random.default_rng((seed, number, index)), size, categories=categories)
        objects, own = store(scene, sizes)
        samples.extend(objects)
        scenes.append(own)
    if not samples:
        raise UserError(
            f"None of the {scenes_per_shard} scenes of a shard in {folder} shows an object that is of use: "
            "write larger shards, or train the depth model for longer where its estimates are written."
        )
    stacked = {name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]}
    save_shard(folder / f"shard-{seed}-{number:05d}.npz", samples, **stacked)
    return len(samples)


def save_shard(path: Path, samples: Sequence[dict[str, np.ndarray]], **others: np.ndarray) -> None:
    """Samples as `object_samples` gives them, and other arrays, to a file that appears complete."""
    arrays = dict(others)
    for name in samples[0]:
        join = np.concatenate if name in RAGGED else np.stack
        arrays[name] = join([sample[name] for sample in samples])
    if "coords" in samples[0]:
        arrays["voxel_counts"] = np.array([len(sample["coords"]) for sample in samples])
    partial_path = path.with_suffix(".partial")
    with open(partial_path, "wb") as file:
        np.savez(file, **arrays)
    move(partial_path, path)


RAGGED = ("coords", "features")
"""Arrays with a row a voxel, where the others have one an object or a scene."""

KINDS_TOLD = ("kind", "photo_kind")
"""Arrays that data may lack where they do not matter, see `of_kinds`."""


def read_arrays(path: Path, names: Collection[str] = ()) -> dict[str, np.ndarray] | None:
    """A file's arrays, all or those named, which then have equally many rows; None, and the file is named,
    where it cannot be read or is not whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = set(names) - set(file.files) - set(KINDS_TOLD)
            if missing:
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            found = {name: file[name] for name in file.files if not names or name in names}
        if names and len({rows.shape[:1] for name, rows in found.items() if name not in RAGGED}) > 1:
            raise ValueError("its arrays do not have equally many rows")
        return found
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        print(f"{path.name} is left out: {error}", flush=True)
        return None


class Shards:
    """Random batches out of a folder of shards; new shards are found as they appear."""

    def __init__(self, folder: Path, seed: int | tuple[int, ...]):
        self.folder, self.seed, self.broken = folder, seed, set()
        self.rng = np.random.default_rng(seed)

    def read_by(self, reader: int) -> "Shards":
        """The same shards in an order of this reader's own."""
        return Shards(self.folder, (self.seed, reader))

    def paths(self) -> list[Path]:
        """The shards that there are now, without those found broken."""
        return [path for path in sorted(self.folder.glob("shard-*.npz")) if path not in self.broken]

    def arrays(self, names: Collection[str] = ()) -> Iterator[dict[str, np.ndarray]]:
        """Shards, for ever, each pass in a new order: of their arrays those named, or all."""
        while True:
            paths = self.paths()
            if not paths:
                raise UserError(
                    f"{self.folder} holds no readable shards: run the stage {self.folder.name} first."
                )
            for index in self.rng.permutation(len(paths)):
                found = read_arrays(paths[index], names)
                if found is None:
                    self.broken.add(paths[index])
                else:
                    yield found

    def photos(self, size: int, kinds: Sequence[str] = KINDS) -> Iterator[dict[str, Tensor]]:
        """`photos` (B, H, W, 3) uint8 of scenes of these kinds, and `maps` (B, H/2, W/2, 3) float16, each
        other row and column of their point maps. Raises UserError for shards that do not say their kinds or
        hold too few."""
        too_few = 0
        for shard in self.arrays(("photos", "maps", "photo_kind")):
            chosen = np.ones(len(shard["photos"]), bool) & of_kinds(shard, "photo_kind", kinds)
            order = self.rng.permutation(np.flatnonzero(chosen))
            too_few = too_few + 1 if len(order) < size else 0
            if too_few > len(self.paths()):
                raise UserError(
                    f"No shard in {self.folder} holds {size} photos of kind {' or '.join(kinds)}: "
                    "write larger ones with the stage data."
                )
            for start in range(0, len(order) - size + 1, size):
                rows = order[start : start + size]
                yield {name: torch.from_numpy(shard[name][rows]) for name in ("photos", "maps")}

    def batches(
        self, names: tuple[str, ...], size: int, selection: Selection = EVERYTHING, mixed: int = 4
    ) -> Iterator[dict[str, Tensor]]:
        """Batches of the named per-object arrays (equal shapes only), drawn from the selected objects of
        `mixed` shards at a time, or of more where those hold too few. Raises UserError when all do."""
        shards = self.arrays((*names, "kind", "visible_fraction"))
        while True:
            pool = [
                {name: shard[name][rows] for name in names}
                for shard, rows in self._enough(shards, size, mixed, selection)
            ]
            count = sum(len(part[names[0]]) for part in pool)
            joined = {name: np.concatenate([part[name] for part in pool]) for name in names}
            order = self.rng.permutation(count)
            for start in range(0, count - size + 1, size):
                rows = order[start : start + size]
                yield {name: torch.from_numpy(values[rows]) for name, values in joined.items()}

    def sparse_batches(
        self, names: tuple[str, ...], size: int, most_voxels: int | None = None, mixed: int = 2
    ) -> Iterator[dict[str, Tensor]]:
        """As `batches`, with `coords` (N, 4) int32 and `features` (N, 8) of the batch's voxels added. Raises
        UserError likewise.

        most_voxels: of each object only so many, those nearest to a random one of it.
        """
        shards = self.arrays((*names, "voxel_counts", "coords", "features", "visible_fraction"))
        while True:
            pool = [shard for shard, _ in self._enough(shards, size, mixed, EVERYTHING)]
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

    def _enough(
        self, shards: Iterator[dict[str, np.ndarray]], size: int, mixed: int, selection: Selection
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """The next shards, each with its selected rows: `mixed` of them, or as many as have `size` rows.
        Raises UserError when all of the folder have fewer."""
        number, found = 0, 0
        while number < mixed or found < size:
            shard = next(shards)
            rows = selection.rows(shard)
            number, found = number + 1, found + len(rows)
            if number > mixed + len(self.paths()) and found < size:
                raise UserError(
                    f"{self.folder} holds too few samples {selection} for a batch of {size}: "
                    f"write more with the stage {self.folder.name}."
                )
            yield shard, rows

    def _nearest(self, coords: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
        """Of the numbered cells the `count` nearest to a random one, in their order."""
        if len(cells) <= count:
            return cells
        places = coords[cells].astype(np.int32)
        distances = np.square(places - places[self.rng.integers(len(cells))]).sum(1)
        return cells[np.sort(np.argpartition(distances, count)[:count])]
