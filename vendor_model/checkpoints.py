"""A model folder to modules: built from its yaml files, filled strictly from its safetensors.

Keys are the released ones, with their prefixes, so that a file says the same in every folder
(spec geometry.md §2, texture.md §9).
"""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vendor_model.config import PipelineConfig, read_yaml, section
from vendor_model.errors import CheckpointError
from vendor_model.models.conditioning import DinoEmbedder, EmbedderFuser, PointPatchEmbedder
from vendor_model.models.dinov2 import DinoV2
from vendor_model.models.geometry_flow import GeometryFlow
from vendor_model.models.latent_decoders import GaussianDecoder, MeshDecoder
from vendor_model.models.moge import MoGe
from vendor_model.models.texture_flow import TextureFlow
from vendor_model.models.voxel_decoder import VoxelDecoder

CONDITION_EMBEDDER = "module.condition_embedder.backbone"
FLOW = "module.generator.backbone.reverse_fn.backbone"
"""Where a generator's yaml describes its two parts."""

CONDITION_PREFIX = "_base_models.condition_embedder."
FLOW_PREFIX = "_base_models.generator.reverse_fn.backbone."
"""What their keys begin with in the generator's weights."""

WEIGHTS = {
    "depth_model": {"depth_model": ""},
    "ss_generator": {"ss_condition_embedder": CONDITION_PREFIX, "ss_flow": FLOW_PREFIX},
    "ss_decoder": {"ss_decoder": ""},
    "slat_generator": {"slat_condition_embedder": CONDITION_PREFIX, "slat_flow": FLOW_PREFIX},
    "slat_decoder_gs": {"slat_decoder_gs": ""},
    "slat_decoder_mesh": {"slat_decoder_mesh": ""},
}
"""Weights file (as `pipeline.yaml` names it) -> modules in it and the prefix of their keys."""


def build(folder: Path, config: PipelineConfig) -> dict[str, nn.Module]:
    """Every module of a folder by its name in `WEIGHTS`, with weights as initialised.

    Raises CheckpointError when a yaml is missing or has a setting that its module does not take.
    """
    return {name: build_one(folder, config, name) for names in WEIGHTS.values() for name in names}


def build_one(folder: Path, config: PipelineConfig, name: str) -> nn.Module:
    """One module by its name in `WEIGHTS`, with weights as initialised."""
    file = next(file for file, names in WEIGHTS.items() if name in names)
    path = folder / getattr(config, f"{file}_config_path")
    content = read_yaml(path)
    try:
        if name.endswith("condition_embedder"):
            return _condition_embedder(section(content, CONDITION_EMBEDDER, path))
        if name.endswith("flow"):
            content = section(content, FLOW, path)
        return MODULES[name](**content)
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} does not describe a {name} ({error}): fetch the model again."
        ) from None


def _condition_embedder(content: dict) -> EmbedderFuser:
    content = dict(content)
    pairs = [(_embedder(entry["embedder"]), entry["inputs"]) for entry in content.pop("embedder_list")]
    return EmbedderFuser(pairs, **content)


def _embedder(content: dict) -> nn.Module:
    content = dict(content)
    if "dino" in content:
        return DinoEmbedder(DinoV2(**content.pop("dino")), **content)
    return PointPatchEmbedder(**content["point_patch"])


MODULES = {
    "depth_model": MoGe,
    "ss_flow": GeometryFlow,
    "ss_decoder": VoxelDecoder,
    "slat_flow": TextureFlow,
    "slat_decoder_gs": GaussianDecoder,
    "slat_decoder_mesh": MeshDecoder,
}


def load(folder: Path, config: PipelineConfig, device: torch.device) -> dict[str, nn.Module]:
    """Every module of a folder in evaluation mode, float32, on the device. Raises CheckpointError."""
    modules = build(folder, config)
    for file, names in WEIGHTS.items():
        path = folder / getattr(config, f"{file}_ckpt_path")
        tensors = read_weights(path)
        for name, prefix in names.items():
            fill(modules[name], tensors, prefix, path)
    return {name: module.eval().requires_grad_(False).to(device) for name, module in modules.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; raises CheckpointError when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: choose a folder that holds a complete model.") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is not a complete weights file ({error}): fetch the model again."
        ) from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Load the tensors under the prefix, cast to the module's dtypes; keys and shapes must fit exactly."""
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    wanted = module.state_dict()
    wrong = set(own) ^ set(wanted) | {
        key for key in set(own) & set(wanted) if own[key].shape != wanted[key].shape
    }
    if wrong:
        raise CheckpointError(
            f"{path} does not fit its configuration ({len(wrong)} tensors differ, such as {min(wrong)}): "
            "use weights and yaml files of one model."
        )
    module.load_state_dict({key: value.to(wanted[key].dtype) for key, value in own.items()})


def save(folder: Path, config: PipelineConfig, modules: Mapping[str, nn.Module], dtype: torch.dtype) -> None:
    """Write every weights file of a folder from its modules; floats in the given dtype."""
    for file, names in WEIGHTS.items():
        tensors = {
            prefix + key: (value.to(dtype) if value.dtype.is_floating_point else value).contiguous()
            for name, prefix in names.items()
            for key, value in modules[name].state_dict().items()
        }
        path = folder / getattr(config, f"{file}_ckpt_path")
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        os.replace(partial, path)
