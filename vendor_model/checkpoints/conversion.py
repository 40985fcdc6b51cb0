"""Released files to a model folder: checked strictly, written once in the precision they run in.

What `precision.py` keeps in 16 bits is stored in float16, in which the released pipeline multiplies (spec
geometry.md §2.2, §9), everything else in float32. Equal parameters are stored once.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from vendor_model.checkpoints.files import SHARED_FILE, SHARED_KEYS, check_fit
from vendor_model.checkpoints.modules import WEIGHTS, build_one, without_weights
from vendor_model.checkpoints.released import CONFIGURATION, Release, find_release, read_released
from vendor_model.checkpoints.space import check_space, disk_error
from vendor_model.checkpoints.writing import Stored, write_tensors
from vendor_model.errors import CheckpointError
from vendor_model.moving import move
from vendor_model.precision import weight_dtype
from vendor_model.types import Progress


@dataclass(frozen=True)
class Weight(Stored):
    """A tensor of a released file: in which weights file of `WEIGHTS` it goes, and whether it is learned."""

    file: str
    is_parameter: bool


def convert(source: Path, target: Path, progress: Progress, configuration: Path = CONFIGURATION) -> None:
    """Make the model folder `target` from a folder of released files.

    It appears whole or not at all; a few tensors at a time are in memory. progress: of stage "convert"; may
    raise to cancel. configuration: the folder of yaml files that says what the release is.
    Raises CheckpointError for files that are not the release's, a target that exists, or a full disk.
    """
    if target.exists():
        raise CheckpointError(f"{target} is there already: name a folder that is not, or remove it.")
    progress("convert", 0.0)
    release = find_release(source, configuration)
    weights = [weight for file in WEIGHTS for weight in read_weights(release, file)]
    twins = find_twins(weights)
    unfinished = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # left by a conversion that was killed
        unfinished.mkdir(parents=True)
        _write(unfinished, release, weights, twins, progress)
        move(unfinished, target)
    except OSError as error:
        raise disk_error(target, error) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_weights(release: Release, file: str) -> list[Weight]:
    """Every tensor that the modules of a weights file want; raises CheckpointError unless all fit."""
    path = release.files[file]
    tensors = read_released(path, release.settings_of(file))
    weights = []
    for name, prefix in WEIGHTS[file].items():
        with without_weights():
            module = build_one(release.configuration, release.config, name)
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        check_fit({key: tuple(value.shape) for key, value in own.items()}, module, path)
        parameters = dict(module.named_parameters())
        for key, value in own.items():
            dtype = weight_dtype(key, tuple(value.shape), torch.float16)
            weights.append(Weight(prefix + key, value, dtype, file, key in parameters))
    return weights


def find_twins(weights: Iterable[Weight]) -> dict[tuple[str, str], str]:
    """(file, key) of every parameter that equals another one -> SHA-256 of what is stored for it."""
    alike: dict[tuple, list[Weight]] = {}
    for weight in weights:
        if weight.is_parameter:
            beginning = tuple(weight.tensor.reshape(-1)[:64].tolist())
            alike.setdefault((weight.dtype, weight.tensor.shape, beginning), []).append(weight)
    by_hash: dict[str, list[Weight]] = {}
    for weight in (weight for candidates in alike.values() if len(candidates) > 1 for weight in candidates):
        facts = f"{weight.dtype} {tuple(weight.tensor.shape)} ".encode()
        by_hash.setdefault(hashlib.sha256(facts + weight.content()).hexdigest(), []).append(weight)
    return {
        (twin.file, twin.key): digest for digest, twins in by_hash.items() if len(twins) > 1 for twin in twins
    }


def _write(
    folder: Path,
    release: Release,
    weights: list[Weight],
    twins: Mapping[tuple[str, str], str],
    progress: Progress,
) -> None:
    once = {
        digest: Stored(digest, weight.tensor, weight.dtype)
        for weight in weights
        if (digest := twins.get((weight.file, weight.key)))
    }
    files: dict[str, tuple[list[Stored], dict[str, str]]] = {}
    for file in WEIGHTS:
        own = [weight for weight in weights if weight.file == file]
        shared = {weight.key: twins[file, weight.key] for weight in own if (file, weight.key) in twins}
        metadata = {SHARED_KEYS: json.dumps(shared)} if shared else {}
        name = getattr(release.config, f"{file}_ckpt_path")
        files[name] = [weight for weight in own if weight.key not in shared], metadata
    if once:
        files[SHARED_FILE] = list(once.values()), {}
    total = sum(stored.nbytes for tensors, _ in files.values() for stored in tensors)
    check_space(folder, total)
    on_written = _counter(total, progress)
    for name, (tensors, metadata) in files.items():
        write_tensors(folder / name, tensors, metadata, on_written)
    for file in WEIGHTS:
        name = getattr(release.config, f"{file}_config_path")
        shutil.copyfile(release.configuration / name, folder / name)
    text = yaml.safe_dump(release.settings, sort_keys=False)
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")


def _counter(total: int, progress: Progress) -> Callable[[int], None]:
    written = 0

    def on_written(nbytes: int) -> None:
        nonlocal written
        written += nbytes
        progress("convert", written / total)

    return on_written
