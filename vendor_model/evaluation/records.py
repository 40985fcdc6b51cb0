"""What a command line of the evaluation asks for, object by object, by one process or by several.

Apart from `__main__`, whose functions other processes cannot find.
"""

import argparse
import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from vendor_model.evaluation import generated, meshes, scenes
from vendor_model.evaluation.record_file import RecordFile
from vendor_model.evaluation.subjects import KnownPhoto, evaluate
from vendor_model.pipeline import Pipeline
from vendor_model.training.objects import CATEGORIES
from vendor_model.training.recipe import MINI

_pipeline: Pipeline
"""Of this process, once `_load` was called."""


def records(arguments: argparse.Namespace) -> list[dict]:
    """What the command line asks for, object by object. Raises UserError.

    With `--records` each photo's are written down as they come, and what is written there is not made again.
    """
    if arguments.kind == "meshes":
        return list(meshes.evaluate(arguments.folder))
    if not arguments.records:
        photos = enumerate(known_photos(arguments))
        return [record for _, found in evaluated(arguments, photos) for record in found]
    file = RecordFile(arguments.records, identity(arguments))
    new = ((number, photo) for number, photo in enumerate(known_photos(arguments)) if number not in file)
    for number, found in evaluated(arguments, new):
        file.add(number, found)
    return file.records


def identity(arguments: argparse.Namespace) -> dict[str, object]:
    """Of a command line, what its figures depend on."""
    names = ("kind", "folders", "samples", "seed", "occluded", "unseen", "model", "steps", "true_points")
    told = {name: getattr(arguments, name, None) for name in names}
    told["folders"] = [str(folder.resolve()) for folder in told["folders"] or ()]
    return told | {"model": str(arguments.model.resolve()), "weights": _digest(arguments.model)}


def _digest(folder: Path) -> str:
    """What a model's configuration and weights are known by, as they may change where they are."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def evaluated(
    arguments: argparse.Namespace, photos: Iterable[tuple[int, KnownPhoto]]
) -> Iterator[tuple[int, list[dict]]]:
    """The number of each photo, and the records of its objects, as they come."""
    work = partial(_records_of, arguments.seed, arguments.true_points)
    if arguments.workers == 1:
        _load(arguments, torch.get_num_threads())
        yield from map(work, photos)
        return
    threads = max(1, torch.get_num_threads() // arguments.workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, spawn, _load, (arguments, threads)) as pool:
        yield from pool.map(work, photos)


def _load(arguments: argparse.Namespace, threads: int) -> None:
    global _pipeline
    torch.set_num_threads(threads)
    _pipeline = model(arguments)


def _records_of(seed: int, true_points: bool, numbered: tuple[int, KnownPhoto]) -> tuple[int, list[dict]]:
    number, photo = numbered
    return number, list(evaluate(_pipeline, [photo], seed, true_points))


def model(arguments: argparse.Namespace) -> Pipeline:
    pipeline = Pipeline.load(arguments.model)
    if arguments.steps:
        pipeline.config = replace(pipeline.config, ss_inference_steps=arguments.steps)
    return pipeline


def known_photos(arguments: argparse.Namespace) -> Iterator[KnownPhoto]:
    if arguments.kind == "scenes":
        return scenes.known_photos(arguments.folders)
    unseen = tuple(kind for kind in CATEGORIES if kind not in MINI.categories)
    kinds = unseen if arguments.unseen else MINI.categories
    return generated.known_photos(arguments.samples, arguments.seed, kinds, arguments.occluded)
