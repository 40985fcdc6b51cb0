"""What the flow models minimise: conditional flow matching over several latents at once.

L = Σ_m λ_m E‖v^m − v_θ^m(x_τ, c, τ)‖², x_τ = τ x₁ + (1−τ) x₀, v = x₁ − x₀ (paper, training recipe).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Latents = dict[str, Tensor]


def sample_times(count: int, at_noise: float, rng: torch.Generator) -> Tensor:
    """Times (count,) in 0..1: a share `at_noise` exactly 0, the rest logit-normal (−1, 1) as in the release.

    At pure noise the best velocity is the conditional mean minus the noise, so these draws train the
    network as a regressor; few steps at run time then already give its answer.
    """
    times = torch.sigmoid(torch.randn(count, generator=rng) - 1)
    return times * (torch.rand(count, generator=rng) >= at_noise)


def flow_matching(
    velocity: Callable[[Latents, Tensor], Latents],
    data: Latents,
    weights: Mapping[str, float],
    times: Tensor,
    rng: torch.Generator,
    noise_scale: float = 1.0,
) -> tuple[Tensor, dict[str, float]]:
    """Loss and its parts. data: latents (B, tokens, channels); times: (B,); velocity takes (x_τ, τ).

    noise_scale: 0 leaves plain regression of the data, an easier start for a small model.
    """
    noise = {name: noise_scale * torch.randn(value.shape, generator=rng) for name, value in data.items()}
    tau = times.view(-1, 1, 1)
    mixed = {name: tau * value + (1 - tau) * noise[name] for name, value in data.items()}
    predicted = velocity(mixed, times)
    total, parts, start = 0.0, {}, times == 0
    for name, weight in weights.items():
        error = (predicted[name] - (data[name] - noise[name])).square().mean((1, 2))
        total = total + weight * error.mean()
        parts[name] = error.mean().item()
        if start.any():
            parts[f"{name}_at_noise"] = error[start].mean().item()
    return total, parts
