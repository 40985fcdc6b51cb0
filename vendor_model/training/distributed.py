"""Several processes that train one model together, as `torchrun` starts them; or one alone.

Each has a device and samples of its own. They start from the first one's weights, and every step all of them
take the mean of their gradients, so that their weights stay alike.
"""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(days=2)
"""How long a process waits for the others, at any exchange: one of them may render for hours."""


def join(device: torch.device) -> torch.device:
    """Find the others if torchrun started this process; returns the device that is this one's."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return device


def rank() -> int:
    """Number of this process; 0 alone writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def part(whole: int) -> int:
    """This process's part of so many things, of which none is left over."""
    return whole * (rank() + 1) // processes() - whole * rank() // processes()


def wait() -> None:
    """Go on when all processes have come here."""
    if processes() > 1:
        dist.barrier()


def share_weights(model: nn.Module) -> None:
    """Give every process the first one's weights."""
    if processes() > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes; a missing one counts as zero."""
    if processes() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for parameter, total in zip(trained, summed([parameter.grad for parameter in trained]), strict=True):
        parameter.grad.copy_(total / processes())


def summed(tensors: list[Tensor]) -> list[Tensor]:
    """The sums over all processes, in one exchange."""
    if processes() == 1 or not tensors:
        return tensors
    together = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(together)
    parts = together.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def everywhere(condition: Tensor) -> bool:
    """Whether a condition, a boolean tensor (), holds in every process."""
    if processes() > 1:
        number = condition.float()
        dist.all_reduce(number, dist.ReduceOp.MIN)
        return bool(number.item())
    return bool(condition)
