"""What is in a model, from its configuration alone: no weights are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vendor_model.checkpoints.modules import WEIGHTS, build_one
from vendor_model.config import read_pipeline


@dataclass(frozen=True)
class ModuleSize:
    """tensors: in the state; parameters, buffers: numbers in them; the bytes of all, in either precision."""

    name: str
    tensors: int
    parameters: int
    buffers: int
    bytes_float16: int
    bytes_float32: int


def describe(folder: Path) -> list[ModuleSize]:
    """Every module of a model folder, whose weights need not be there. Raises CheckpointError."""
    config = read_pipeline(folder)
    sizes = []
    for name in (name for names in WEIGHTS.values() for name in names):
        with torch.device("meta"):
            module = build_one(folder, config, name)
        state = module.state_dict()
        parameters = count(module.parameters())
        total = count(state.values())
        buffers = total - parameters
        sizes.append(ModuleSize(name, len(state), parameters, buffers, 2 * total, 4 * total))
    return sizes


def count(tensors: Iterable[Tensor]) -> int:
    """Numbers in all tensors together."""
    return sum(tensor.numel() for tensor in tensors)
