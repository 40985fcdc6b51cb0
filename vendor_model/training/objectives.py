"""What the flow models minimise: conditional flow matching over several latents at once, preferences, and
agreement of long steps with short ones; and how much two solids overlap.

Latents are (B, tokens, channels) by name. Times are (B,), from 0, noise x₀, to 1, data x₁:
x_τ = τ x₁ + (1−τ) x₀, v = x₁ − x₀ (paper, training recipe).
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.training.trainer import Figures

Latents = dict[str, Tensor]

SHORTEST_STEP = 7
"""Distilled steps are 2⁻ⁱ long, i from 0 to this."""


def sample_times(count: int, at_noise: float, rng: torch.Generator) -> Tensor:
    """Times (count,) in 0..1: a share `at_noise` exactly 0, the rest logit-normal (−1, 1) as in the release.

    At pure noise the best velocity is the conditional mean minus the noise, so these draws train the
    network as a regressor; few steps at run time then already give its answer.
    """
    times = torch.sigmoid(torch.randn(count, generator=rng, device=rng.device) - 1)
    return times * (torch.rand(count, generator=rng, device=rng.device) >= at_noise)


def noise_for(shapes: Mapping[str, tuple[int, ...]], rng: torch.Generator) -> Latents:
    """Standard normal latents of these shapes, on the generator's device."""
    return {name: torch.randn(shape, generator=rng, device=rng.device) for name, shape in shapes.items()}


def mix(data: Latents, noise: Latents, times: Tensor) -> Latents:
    """x_τ of data and noise."""
    tau = times.view(-1, 1, 1)
    return {name: tau * value + (1 - tau) * noise[name] for name, value in data.items()}


def flow_matching(
    velocity: Callable[[Latents, Tensor], Latents],
    data: Latents,
    weights: Mapping[str, float],
    times: Tensor,
    rng: torch.Generator,
) -> tuple[Tensor, Figures]:
    """L = Σ_m λ_m E‖v^m − v_θ^m(x_τ, c, τ)‖², and its parts by name; velocity takes (x_τ, τ)."""
    noise = noise_for({name: value.shape for name, value in data.items()}, rng)
    return velocity_loss(velocity(mix(data, noise, times), times), data, noise, weights)


def velocity_loss(
    predicted: Latents, data: Latents, noise: Latents, weights: Mapping[str, float]
) -> tuple[Tensor, Figures]:
    """Σ_m λ_m ‖v^m − v_θ^m‖², v = x₁ − x₀, a batch's mean, and its parts by name."""
    errors = {name: (predicted[name] - (data[name] - noise[name])).square().mean() for name in weights}
    return sum(weight * errors[name] for name, weight in weights.items()), errors


def preference_loss(
    better: Tensor, better_reference: Tensor, worse: Tensor, worse_reference: Tensor, strength: float
) -> Tensor:
    """DPO on velocities: −log σ(−βT w(τ) Δ) of each pair (B,), Δ = (‖v^w − v_θ^w‖² − ‖v^w − v_ref^w‖²) −
    (‖v^l − v_θ^l‖² − ‖v^l − v_ref^l‖²).

    The arguments are the four squared errors (B,), means over tokens and channels, all at the same τ.
    strength: βT, which the paper does not give; w(τ) is 1.
    """
    gap = (better - better_reference) - (worse - worse_reference)
    return -F.logsigmoid(-strength * gap)


def shortcut_draws(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Steps 2⁻ⁱ (count,) that are to be learnt, and times (count,) at multiples of them, before 1."""
    power = torch.randint(SHORTEST_STEP + 1, (count,), generator=rng, device=rng.device)
    many = 2.0**power
    return 1 / many, (torch.rand(count, generator=rng, device=rng.device) * many).floor() / many


@torch.no_grad()
def shortcut_target(
    velocity: Callable[[Latents, Tensor, Tensor], Latents], mixed: Latents, times: Tensor, steps: Tensor
) -> Latents:
    """What a step of length `steps` (B,) should follow: the mean velocity (x̃_{τ+2d} − x_τ) / 2d of two steps
    of half its length d, the second from where the first led (shortcut models; Frans et al. 2024).

    velocity takes (x_τ, τ, told step). The halves of the shortest step are taken as infinitely short: they
    are told 0, for which flow matching trains the network.
    """
    half = steps / 2
    told = half * (steps > 2.0**-SHORTEST_STEP)
    first = velocity(mixed, times, told)
    middle = {name: value + half.view(-1, 1, 1) * first[name] for name, value in mixed.items()}
    second = velocity(middle, times + half, told)
    return {name: (first[name] + second[name]) / 2 for name in mixed}


def soft_overlap(chances: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of (B, ...) occupancies in 0..1, one for each item."""
    both = (chances * target).flatten(1).sum(1)
    return both / (chances + target - chances * target).flatten(1).sum(1).clamp(min=1e-6)
