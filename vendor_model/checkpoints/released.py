"""A model as its authors released it: where its files lie, how they are read, whether they are known.

Source: spec geometry.md §1–2, texture.md §9, moge.md §0. Files are read with the restricted unpickler only.
"""

import dataclasses
import pickle
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vendor_model.checkpoints.modules import WEIGHTS
from vendor_model.config import PipelineConfig, as_record, is_converted, read_yaml
from vendor_model.errors import CheckpointError
from vendor_model.memory import is_out_of_memory

CONFIGURATION = Path(__file__).parent.parent / "official"
"""What the released model is, in this project's own files."""

PLACES = ("", "checkpoints", "checkpoints/hf")
"""Where under a folder the released files may lie."""

DEPTH_MODEL, DEPTH_MODEL_FILE = "depth_model", "model.pt"
DEPTH_MODEL_PAGE = "https://huggingface.co/Ruicheng/moge-vitl"
"""MoGe's weights, which its own repository names so; expected beside the others, whose yaml does not tell."""

WRAPPERS = ("state_dict", "model")
"""Entries of a checkpoint that its weights may lie in, beside what training left there."""


@dataclass(frozen=True)
class Release:
    """A folder of released files. settings: content of the `pipeline.yaml` to write; files: path of each
    weights file in `WEIGHTS`; configuration: the yaml files that it was compared with."""

    settings: dict
    files: dict[str, Path]
    configuration: Path

    @property
    def config(self) -> PipelineConfig:
        return as_record(PipelineConfig, self.settings, self.configuration / "pipeline.yaml")

    def settings_of(self, file: str) -> dict:
        """The known settings of the modules in a weights file."""
        return read_yaml(self.configuration / self.settings[f"{file}_config_path"])


def find_release(folder: Path, configuration: Path = CONFIGURATION) -> Release:
    """The release in a folder; raises CheckpointError when there is none, or one of another version.

    Sampler settings and constants in its `pipeline.yaml` are kept; what else its yaml files say must agree
    with `configuration`, as far as that says it too.
    """
    place = next((folder / place for place in PLACES if (folder / place / "pipeline.yaml").is_file()), None)
    if place is None:
        raise CheckpointError(
            f"{folder} holds no pipeline.yaml: choose the folder of a downloaded or converted model."
        )
    path, known = place / "pipeline.yaml", read_yaml(configuration / "pipeline.yaml")
    content = read_yaml(path)
    if is_converted(content):
        raise CheckpointError(f"{place} is a converted model already: use it as it is.")
    if content.get("version") != known["version"]:
        raise CheckpointError(
            f"{path} is version {content.get('version')!r} of the model and {known['version']!r} is known: "
            "fetch that one, or update the add-on."
        )
    kept = {key: content[key] for key in known_settings() & content.keys()}
    files = {
        name: place / _named(content, f"{name}_ckpt_path", path) for name in WEIGHTS if name != DEPTH_MODEL
    }
    release = Release(known | kept, {DEPTH_MODEL: place / DEPTH_MODEL_FILE} | files, configuration)
    if not release.files[DEPTH_MODEL].is_file():
        raise CheckpointError(
            f"{place} lacks {DEPTH_MODEL_FILE}, MoGe's weights, which come from elsewhere: "
            f"put the one of {DEPTH_MODEL_PAGE} beside pipeline.yaml."
        )
    for name in files:
        theirs = place / _named(content, f"{name}_config_path", path)
        check_settings(theirs, read_yaml(theirs), release.settings_of(name))
    return release


def read_released(path: Path, settings: dict) -> dict[str, Tensor]:
    """The tensors of a released weights file, mapped into memory.

    settings: of its modules, to compare with those that the file may hold.
    Raises CheckpointError when it is missing, damaged, no checkpoint, or asks to run code.
    """
    content = _load(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no weights by name: fetch the model again.")
    if isinstance(content.get("model_config"), dict):
        check_settings(path, content["model_config"], settings)
    state = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), content)
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def _load(path: Path) -> object:
    try:
        return torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: fetch the model again.") from None
    except pickle.UnpicklingError as error:
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if forbidden:
            raise CheckpointError(
                f"{path} wants to run {forbidden[1]} while it is read, which was not allowed: "
                "fetch the model from its authors."
            ) from None
        raise CheckpointError(f"{path} is no checkpoint: fetch the model again.") from None
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} is no complete checkpoint ({reason}): fetch the model again."
        ) from None


def check_settings(path: Path, theirs: dict, ours: dict) -> None:
    """Raises CheckpointError when a number or a word stands under the same name in both and differs.

    What lists of settings hold, such as those of embedders, must be among what ours hold under that name.
    """
    for name, their, known in _common_settings(theirs, ours):
        if their not in known:
            raise CheckpointError(
                f"{path} says {name} {their} and {' or '.join(map(str, known))} is known: "
                "fetch the released model, or update the add-on."
            )


def _common_settings(theirs: dict, ours: dict, prefix: str = "") -> Iterator[tuple[str, object, list]]:
    """Name, their value and the known ones."""
    for name, our in ours.items():
        their = theirs.get(name)
        if isinstance(their, dict) and isinstance(our, dict):
            yield from _common_settings(their, our, f"{prefix}{name}.")
        elif _is_value(their) and _is_value(our):
            yield prefix + name, their, [our]
        elif isinstance(their, list) and isinstance(our, list):
            known: dict[str, list] = {}
            for inner, value in _values_within(our):
                if value not in known.setdefault(inner, []):
                    known[inner].append(value)
            for inner, value in _values_within(their):
                if inner in known:
                    yield f"{prefix}{name}.{inner}", value, known[inner]


def _values_within(content: object) -> Iterator[tuple[str, object]]:
    """Name and value of everything in nested lists and mappings."""
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in parts:
        if isinstance(name, str) and _is_value(value):
            yield name, value
        elif isinstance(value, dict | list):
            yield from _values_within(value)


def _is_value(value: object) -> bool:
    """Whether it is a number, a word or a list of numbers."""
    return isinstance(value, int | float | str) or (
        isinstance(value, list) and all(isinstance(item, int | float) for item in value)
    )


def known_settings() -> set[str]:
    """What `pipeline.yaml` may say of sampling and constants."""
    names = {entry.name for entry in dataclasses.fields(PipelineConfig)}
    return {name for name in names if not name.endswith(("_path", "_preprocessor"))} - {"version"}


def _named(content: dict, key: str, path: Path) -> str:
    if not isinstance(content.get(key), str):
        raise CheckpointError(f"{path} does not name {key}: fetch the model again.")
    return content[key]
