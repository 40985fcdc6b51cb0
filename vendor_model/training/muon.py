"""Muon: steps along the orthogonalised momentum of matrices (Jordan et al. 2024), as long as AdamW's.

torch.optim.Muon multiplies in bfloat16 everywhere and takes matrices one by one: over mini's, on a core
without bfloat16, a step took 26 times as long as here. Each of several processes would do all of them.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vendor_model.training import distributed
from vendor_model.training.products import products_dtype

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic Newton-Schulz iteration: they bring singular values from far below 1 to about 0.7 to 1.2."""
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; no weight decay. A convolution's kernels are a matrix with a row for
    each of their first channels. Of several processes, whose gradients are alike, each orthogonalises its
    share of the matrices."""

    def __init__(self, groups: Iterable[dict], lr: float):
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            updates = shared_orthogonal([heading.flatten(1) for heading in self._headings(parameters)])
            # The root mean square of AdamW's steps (Liu et al. 2025, Muon is scalable for LLM training).
            lengths = [-0.2 * max(update.shape) ** 0.5 for update in updates]
            steps = [update.view_as(parameter) for update, parameter in zip(updates, parameters, strict=True)]
            torch._foreach_mul_(steps, lengths)
            torch._foreach_mul_(steps, group["lr"])
            torch._foreach_add_(parameters, steps)

    def _headings(self, parameters: list[nn.Parameter]) -> list[Tensor]:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return list(torch._foreach_lerp(gradients, momenta, MOMENTUM))


def shared_orthogonal(matrices: list[Tensor]) -> list[Tensor]:
    """Each matrix orthogonalised, float32, every process doing its share."""
    mine = range(distributed.rank(), len(matrices), distributed.processes())
    alike = defaultdict(list)
    for number in mine:
        alike[matrices[number].shape].append(number)
    results = [torch.zeros_like(matrix) for matrix in matrices]
    for numbers in alike.values():
        found = orthogonal(torch.stack([matrices[number] for number in numbers]))
        for number, matrix in zip(numbers, found, strict=True):
            results[number].copy_(matrix)
    return distributed.summed(results)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, rows, columns) to nearly orthogonal ones with the same singular vectors."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = (matrices if wide else matrices.mT).to(products_dtype(matrices.device))
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
