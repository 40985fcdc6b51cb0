"""Configuration files: yaml beside the weights, read into records; a key that nobody reads is refused.

A model folder is laid out like the released one: `pipeline.yaml` names a yaml and a weights file for
each model (spec geometry.md §1). Which model a folder holds is never asked: sizes, samplers and
constants are all in these files.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

import yaml

from vendor_model.errors import CheckpointError
from vendor_model.preprocessing import PreprocessorSettings

IGNORED_KEYS = {"_target_", "_partial_"}
"""Names of Python objects in released files: what is built follows from where it stands, not from these."""


@dataclass(frozen=True)
class PipelineConfig:
    """`pipeline.yaml`. Defaults are those of the release (spec geometry.md §1.1, pipeline.md §0)."""

    version: str
    depth_model_config_path: str
    depth_model_ckpt_path: str
    ss_generator_config_path: str
    ss_generator_ckpt_path: str
    ss_decoder_config_path: str
    ss_decoder_ckpt_path: str
    slat_generator_config_path: str
    slat_generator_ckpt_path: str
    slat_decoder_gs_config_path: str
    slat_decoder_gs_ckpt_path: str
    slat_decoder_mesh_config_path: str
    slat_decoder_mesh_ckpt_path: str
    ss_preprocessor: PreprocessorSettings
    slat_preprocessor: PreprocessorSettings
    slat_mean: tuple[float, ...]
    slat_std: tuple[float, ...]
    clip_pointmap_beyond_scale: float | None = None
    downsample_ss_dist: int = 1
    ss_inference_steps: int = 25
    ss_rescale_t: float = 3.0
    ss_cfg_strength: float = 7.0
    ss_cfg_interval: tuple[float, float] = (0.0, 500.0)
    use_stage1_distillation: bool = False
    slat_inference_steps: int = 25
    slat_rescale_t: float = 1.0
    slat_cfg_strength: float = 1.0
    slat_cfg_interval: tuple[float, float] = (0.0, 500.0)
    geometry_fit: bool = False
    layout_refinement: bool = False
    photo_colors: bool = False
    dtype: str = "float16"
    presets: dict[str, dict] = field(default_factory=dict)

    def with_preset(self, name: str) -> "PipelineConfig":
        """These settings with those of a preset in place; the release's own have the name "reference".

        Raises CheckpointError for a name that the model does not know.
        """
        if name not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise CheckpointError(f"The model has no preset {name!r}: choose one of those it has ({known}).")
        return dataclasses.replace(self, **self.presets[name])


def read_yaml(path: Path) -> dict:
    """The mapping in a yaml file; raises CheckpointError when it is missing or not a mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: choose a folder that holds a complete model.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch the model again.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings: fetch the model again.")
    return content


def section(content: dict, dotted: str, path: Path) -> dict:
    """The nested mapping at `a.b.c`, without the names of Python objects."""
    for name in dotted.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} has no section {dotted}: it is not a configuration of this kind of model."
        )
    return {key: value for key, value in content.items() if key not in IGNORED_KEYS}


def as_record(record: type, content: dict, path: Path):
    """Fill a (nested) dataclass; raises CheckpointError for an unknown, missing or ill-typed key."""
    fields = {entry.name: entry for entry in dataclasses.fields(record)}
    unknown = set(content) - set(fields) - IGNORED_KEYS
    if unknown:
        raise CheckpointError(
            f"{path} has settings this version does not know ({', '.join(sorted(unknown))}): update."
        )
    values = {}
    for name, entry in fields.items():
        if name in content:
            values[name] = _convert(content[name], entry.type, name, path)
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise CheckpointError(f"{path} lacks the setting {name}: fetch the model again.")
    return record(**values)


def _convert(value, kind, name: str, path: Path):
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return as_record(kind, value, path)
    if get_origin(kind) is dict and isinstance(value, dict):
        return value
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_convert(item, get_args(kind)[0], name, path) for item in value)
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) in kinds:
        return value
    raise CheckpointError(f"{path}: setting {name} is {value!r}, which is not of the expected kind.")


def is_converted(content: dict) -> bool:
    """Whether a `pipeline.yaml` is one of this project; the released one says otherwise where depth's is."""
    return "depth_model_config_path" in content


def read_pipeline(folder: Path) -> PipelineConfig:
    """`pipeline.yaml` of a model folder. Raises CheckpointError."""
    path = folder / "pipeline.yaml"
    content = read_yaml(path)
    if not is_converted(content):
        raise CheckpointError(
            f"{path} is not that of a converted model: convert the folder in the add-on's preferences, "
            "or with python -m vendor_model.checkpoints convert."
        )
    config = as_record(PipelineConfig, content, path)
    for settings in config.presets.values():
        as_record(PipelineConfig, content | settings, path)  # says what is wrong with them
    return config
