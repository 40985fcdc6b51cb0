"""Gradient descent of a few small tensors."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba 2015) of parameters, each with its rate.

    Steps as `torch.optim.Adam` does, whose first use imports PyTorch's compiler: 2.5 s on a CPU that makes an
    object in 3.3 s.
    """

    def __init__(self, moved: Sequence[tuple[Tensor, float]]):
        self._parameters, self._rates = zip(*moved, strict=True)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = 0

    def step(self, loss: Tensor, share: float = 1.0) -> None:
        """One step down a loss that all parameters have a part in, by a share of the rates."""
        gradients = torch.autograd.grad(loss, self._parameters)
        self._steps += 1
        mean_weight, square_weight = 1 - FIRST_DECAY**self._steps, 1 - SECOND_DECAY**self._steps
        with torch.no_grad():
            for parameter, rate, gradient, mean, square in zip(
                self._parameters, self._rates, gradients, self._means, self._squares, strict=True
            ):
                mean.lerp_(gradient, 1 - FIRST_DECAY)
                square.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
                length = square.sqrt() / math.sqrt(square_weight) + EPSILON
                parameter.addcdiv_(mean, length, value=-share * rate / mean_weight)


def descend(
    loss: Callable[[], Tensor],
    moved: Sequence[tuple[Tensor, float]],
    steps: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> None:
    """Adam of parameters, each with its rate, down to a tenth of the rates. on_step: told each
    step before it is made."""
    optimizer = Adam(moved)
    for step in range(steps):
        on_step(step)
        optimizer.step(loss(), 1 - 0.9 * step / steps)
