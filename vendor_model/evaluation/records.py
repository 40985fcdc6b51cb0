"""What a command line of the evaluation asks for, object by object, by one process or by several.

Apart from `__main__`, whose functions other processes cannot find.
"""

import argparse
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain, islice

import torch

from vendor_model.evaluation import generated, meshes, scenes
from vendor_model.evaluation.subjects import KnownPhoto, evaluate
from vendor_model.pipeline import Pipeline
from vendor_model.training.recipe import MINI


def records(arguments: argparse.Namespace) -> Iterable[dict]:
    """What the command line asks for, object by object."""
    if arguments.kind == "meshes":
        return meshes.evaluate(arguments.folder)
    if arguments.workers == 1:
        return share(arguments, torch.get_num_threads(), 0)
    threads = max(1, torch.get_num_threads() // arguments.workers)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, spawn) as pool:
        shares = pool.map(partial(share, arguments, threads), range(arguments.workers))
        return list(chain.from_iterable(shares))


def share(arguments: argparse.Namespace, threads: int, number: int) -> list[dict]:
    """The records of every so many-th photo, from the number-th on."""
    torch.set_num_threads(threads)
    photos = islice(known_photos(arguments), number, None, arguments.workers)
    return list(evaluate(model(arguments), photos, arguments.seed, arguments.true_points))


def model(arguments: argparse.Namespace) -> Pipeline:
    pipeline = Pipeline.load(arguments.model)
    if arguments.steps:
        pipeline.config = replace(pipeline.config, ss_inference_steps=arguments.steps)
    return pipeline


def known_photos(arguments: argparse.Namespace) -> Iterator[KnownPhoto]:
    if arguments.kind == "scenes":
        return scenes.known_photos(arguments.folders)
    return generated.known_photos(arguments.samples, arguments.seed, MINI.categories, arguments.occluded)
