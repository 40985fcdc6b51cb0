"""Where the model runs, and whether PyTorch computes there what it should."""

import torch

from vendor_model.errors import UserError

TOLERANCE = 0.01
"""Of the largest value: ten times what shortened products of float32 are off by."""


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


def wrong_results(device: torch.device) -> list[str]:
    """What the model needs and `device` computes otherwise than the CPU, in words.

    Whole releases of macOS and of PyTorch's MPS have had such faults, and raised no error.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    layers = ((8, 512), (512, 512), (512, 128), (128, 128), (128, 32), (32, 32), (32, 1))
    ids = torch.randint(1 << 24, (5000,), generator=generator)  # as large as those of a mesh of 256³ cells
    trials = [
        ("matrix products", torch.matmul, draw(64, 96), draw(96, 32)),
        *(("convolutions", torch.conv3d, draw(1, a, 4, 4, 4), draw(b, a, 3, 3, 3)) for a, b in layers),
        ("attention", torch.nn.functional.scaled_dot_product_attention, *draw(3, 1, 4, 128, 32)),
        ("sorting", lambda values: values.sort(stable=True).indices, ids),
        ("sorting", lambda values: values.sort(stable=True).indices, ids.int()),
        ("counting", lambda values: torch.cat(torch.unique(values, return_inverse=True)), ids % 1000),
    ]
    wrong = {}
    for name, work, *inputs in trials:
        there, here = work(*(value.to(device) for value in inputs)).cpu(), work(*inputs)
        if not (there.shape == here.shape and _agree(there, here)):
            wrong[name] = True
    return list(wrong)


def _agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    if not other.is_floating_point():
        return torch.equal(one, other)
    return bool((one - other).abs().max() <= TOLERANCE * other.abs().max())  # NaN never is
