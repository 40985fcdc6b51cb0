"""In which precision each part of the model runs on each device: the one policy.

Where the configuration asks for 16 bits (`dtype` of `pipeline.yaml`), matrix products, convolutions and
attention of the modules in `SIXTEEN_BIT` run in 16 bits under autocast, and their weights are kept so.
Float32 stay norms, biases, embeddings, the residual streams, sums over taps, statistics, the sampler's state,
the pose, output layers, and every matrix of less than `SMALL` numbers: by these latents and points enter, and
splats leave (spec geometry.md §9, texture.md §3.2, §11 no. 26). `python -m vendor_model.benchmark.precision`
measures what it costs.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch
from torch import nn

FLOWS = ("ss_condition_embedder", "ss_flow", "slat_condition_embedder", "slat_flow")
DECODERS = ("ss_decoder", "slat_decoder_gs", "slat_decoder_mesh")

SIXTEEN_BIT = {
    "cuda": (torch.float16, (*FLOWS, *DECODERS, "depth_model")),
    "mps": (torch.float16, FLOWS),
    "cpu": (torch.bfloat16, FLOWS),
}
"""By kind of device: the 16-bit type and the modules that use it. On the CPU only where it multiplies
bfloat16 faster; eight bits would show in depths and in the sign of signed distances, so decoders stay in
float32."""

SMALL = 1 << 14


def product_dtype(name: str, device: torch.device, wanted: str) -> torch.dtype:
    """Precision of the products of a module (a name in `checkpoints.WEIGHTS`).

    wanted: the configuration's `dtype`; "float32" is kept to everywhere.
    """
    dtype, names = SIXTEEN_BIT[device.type]
    if wanted == "float32" or name not in names:
        return torch.float32
    return torch.float32 if device.type == "cpu" and not cpu_is_faster_in(dtype) else dtype


def weight_dtype(key: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.dtype:
    """Precision that a tensor of a module is kept in, by its key and shape, where products run in `dtype`."""
    is_matrix = key.endswith("weight") and len(shape) > 1 and torch.Size(shape).numel() >= SMALL
    return dtype if is_matrix and not key.endswith("out_layer.weight") else torch.float32


def convert(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Bring a module's tensors to the precision they are kept in; those that are shared stay shared."""
    for key, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(weight_dtype(key, tuple(tensor.shape), dtype))
    return module


def products_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """Inside, products run in that precision."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def search_dtype(device: torch.device) -> torch.dtype:
    """Precision of products that only steer a search for better numbers, whatever the configuration says."""
    sixteen_bit = device.type == "cpu" and cpu_is_faster_in(torch.bfloat16)
    return torch.bfloat16 if sixteen_bit else torch.float32


@lru_cache
def cpu_is_faster_in(dtype: torch.dtype, times: float = 2.0) -> bool:
    """Whether this CPU multiplies matrices in a 16-bit type at least so many times as fast as in float32."""
    seconds = {}
    for kind in (torch.float32, dtype):
        matrix = torch.ones(256, 256, dtype=kind)
        seconds[kind] = min(_seconds(matrix) for _ in range(4))
    return seconds[torch.float32] >= times * seconds[dtype]


def _seconds(matrix: torch.Tensor) -> float:
    began = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - began
