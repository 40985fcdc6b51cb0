"""SAM's networks and settings from files on this disk, complete and never by executing code from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from safetensors import SafetensorError

from vendor_model.errors import CheckpointError

try:
    from transformers import AutoConfig, AutoModelForMaskGeneration, PreTrainedModel
    from transformers.image_utils import (
        IMAGENET_DEFAULT_MEAN,
        IMAGENET_DEFAULT_STD,
        IMAGENET_STANDARD_MEAN,
        IMAGENET_STANDARD_STD,
    )
except ImportError as error:
    raise CheckpointError(
        f"SAM needs the package transformers, which cannot be imported here ({error}): "
        "update the worker's Python in the add-on's preferences, or install transformers."
    ) from error

SAM_2_COLORS = (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
SAM_3_COLORS = (IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD)
FAMILIES = {
    "sam2": SAM_2_COLORS,
    "sam2_video": SAM_2_COLORS,
    "sam3_tracker": SAM_3_COLORS,
    "sam3_video": SAM_3_COLORS,
}
"""`model_type` of the configurations whose network for clicks has SAM 2's interface -> mean and standard
deviation that its pictures are normalised by, of channels in 0..1."""


@dataclass(frozen=True)
class SamWeights:
    """A model as `transformers` saves it. source: its folder, or a Hugging Face id whose files are here.

    network: answers clicks. mean, std: of `FAMILIES`. reads: whether there is also a detector that finds
    objects by text, as in SAM 3.
    """

    source: str
    network: PreTrainedModel
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reads: bool


def load_sam(source: str, device: torch.device) -> SamWeights:
    """Nothing is downloaded. Raises CheckpointError."""
    with words_for(source):
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise CheckpointError(
                f"“{source}” holds a model of type {config.model_type}: choose one of SAM 2.1 or SAM 3."
            )
        network = load_network(AutoModelForMaskGeneration, source).to(device)
    reads = getattr(config, "detector_config", None) is not None
    return SamWeights(source, network, *FAMILIES[config.model_type], reads)


def load_network(kind: type, source: str) -> PreTrainedModel:
    """A network for evaluation in float32, on the CPU. kind: a class with `from_pretrained`. Raises
    CheckpointError."""
    network, report = kind.from_pretrained(
        source,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
    )
    missing = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    if missing:  # they have been filled with noise
        raise CheckpointError(
            f"“{source}” lacks {len(missing)} tensors of its network, such as {min(missing)}: "
            "download the model again."
        )
    return network.eval().requires_grad_(False)


@contextmanager
def words_for(source: str) -> Iterator[None]:
    """Turn what `transformers` raises for missing or damaged files into a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        # What an OSError says is about a download that nobody asked for
        reason = "" if isinstance(error, OSError) else f" ({' '.join(str(error).split())[:160]})"
        raise CheckpointError(
            f"“{source}” is no complete SAM model on this disk{reason}: download it, or choose another."
        ) from error
