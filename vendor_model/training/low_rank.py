"""LoRA: a frozen network learns in few numbers, W + B·A with B and A of low rank (Hu et al. 2021)."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """What is added to a weight (out, in): up (out, rank), zero at first, times down (rank, in)."""

    def __init__(self, weight: Tensor, rank: int):
        super().__init__()
        self.down = nn.Parameter(
            torch.randn(rank, weight.shape[1], device=weight.device) / weight.shape[1] ** 0.5
        )
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def add_low_rank(model: nn.Module, rank: int) -> nn.ModuleDict:
    """Freeze a network and let all of its linear layers learn in low rank; returns what learns, by layer."""
    model.requires_grad_(False)
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    adapters = {name.replace(".", "/"): LowRank(linear.weight, rank) for name, linear in linears.items()}
    for linear, adapter in zip(linears.values(), adapters.values(), strict=True):
        parametrize.register_parametrization(linear, "weight", adapter)
    return nn.ModuleDict(adapters)


def merge_low_rank(model: nn.Module) -> None:
    """Make what was learnt part of the weights, so that the network is of its old shape again."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
