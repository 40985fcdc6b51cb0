"""In which precision a training multiplies: bfloat16, or float32 on a CPU that gains nothing by it."""

from contextlib import AbstractContextManager
from functools import lru_cache

import torch

from vendor_model.precision import cpu_is_faster_in, products_in
from vendor_model.training import distributed


@lru_cache
def products_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, on a CPU only where all processes multiply it faster. They must all ask for the first time
    at the same point, as they tell each other."""
    faster = device.type != "cpu" or distributed.everywhere(torch.tensor(cpu_is_faster_in(torch.bfloat16)))
    return torch.bfloat16 if faster else torch.float32


def fast_products(device: torch.device) -> AbstractContextManager:
    """Inside, matrix products run in that precision."""
    return products_in(products_dtype(device), device)
