"""Where the model runs."""

import torch

from vendor_model.errors import UserError


def choose_device(name: str = "auto") -> torch.device:
    """The named device, or with "auto" the best one of this machine: CUDA, Apple's MPS, then the CPU.

    Raises UserError when the named device is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available.get(name.split(":")[0], False):
        found = ", ".join(kind for kind, there in available.items() if there)
        raise UserError(f"Device {name!r} is not available to PyTorch here: choose one of {found}.")
    return torch.device(name)
