"""Modules of a model folder, built from its yaml files.

Keys are the released ones, with their prefixes, so that a weights file says the same in every folder
(spec geometry.md §2, texture.md §9).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

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

MODULES = {
    "depth_model": MoGe,
    "ss_flow": GeometryFlow,
    "ss_decoder": VoxelDecoder,
    "slat_flow": TextureFlow,
    "slat_decoder_gs": GaussianDecoder,
    "slat_decoder_mesh": MeshDecoder,
}


def build(folder: Path, config: PipelineConfig) -> dict[str, nn.Module]:
    """Every module of a folder by its name in `WEIGHTS`, with weights as initialised.

    Raises CheckpointError when a yaml is missing or has a setting that its module does not take.
    """
    return {name: build_one(folder, config, name) for names in WEIGHTS.values() for name in names}


def build_one(folder: Path, config: PipelineConfig, name: str) -> nn.Module:
    """One module by its name in `WEIGHTS`, with weights as initialised."""
    path = folder / getattr(config, f"{weights_file(name)}_config_path")
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


def weights_file(name: str) -> str:
    """The weights file that a module is in, as `pipeline.yaml` names it."""
    return next(file for file, names in WEIGHTS.items() if name in names)


def _condition_embedder(content: dict) -> EmbedderFuser:
    content = dict(content)
    pairs = [(_embedder(entry["embedder"]), entry["inputs"]) for entry in content.pop("embedder_list")]
    return EmbedderFuser(pairs, **content)


def _embedder(content: dict) -> nn.Module:
    content = dict(content)
    if "dino" in content:
        return DinoEmbedder(DinoV2(**content.pop("dino")), **content)
    return PointPatchEmbedder(**content["point_patch"])


class _NothingDrawn(TorchFunctionMode):
    """Leaves tensors of the meta device as they are where normal values would be drawn: to follow that there
    PyTorch imports its compiler, which takes longer than to load mini."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return function(*args, **kwargs)


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules built inside have their parameters on the meta device: shapes, but neither memory nor values.

    Buffers are real: those that no weights file holds keep their values.
    """

    def to_meta(module: nn.Module, name: str, parameter: Tensor | None) -> Tensor | None:
        return None if parameter is None else nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(to_meta)
    try:
        with _NothingDrawn():
            yield
    finally:
        hook.remove()
