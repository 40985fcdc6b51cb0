"""Flow matching: from noise (time 0) to data (time 1) along the velocity (spec geometry.md §6).

Latents are one tensor or tensors by name. A velocity is a function of latents and of the time × 1000,
a float32 tensor (1,) beside the latents; the context and, for shortcut models, the step size are bound to
it beforehand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

TIME_SCALE = 1000.0

Latents = Tensor | dict[str, Tensor]
Velocity = Callable[[Latents, Tensor], Latents]


@dataclass(frozen=True)
class SamplerSettings:
    """How to sample; the defaults are the released ones of stage 1 (spec §1.1, §6.5).

    rescale_t: > 1 takes smaller steps near the noise. strength: guidance (1 + s)·conditional -
    s·unconditional, where the time × 1000 lies in `interval`, bounds included; never if that is None.
    no_shortcut: the network is told a step size of 0 instead of that of even steps.
    """

    inference_steps: int = 25
    rescale_t: float = 3.0
    strength: float = 7.0
    interval: tuple[float, float] | None = (0.0, 500.0)
    no_shortcut: bool = True
    solver: str = "euler"


def schedule(steps: int, rescale_t: float) -> list[float]:
    """The steps + 1 times from 0 to 1 (spec §6.2)."""
    even = [step / steps for step in range(steps + 1)]
    return [u / (1 + (rescale_t - 1) * (1 - u)) for u in even]


def draw_noise(
    shapes: Mapping[str, tuple[int, ...]],
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """Standard normal latents, float32, one draw a latent in the order of their names (spec §6.1).

    generator: a CPU generator, the default one if None; drawing there makes a seed mean the same on
    every device.
    """
    return {name: torch.randn(shapes[name], generator=generator).to(device) for name in sorted(shapes)}


def step_size(settings: SamplerSettings, device: torch.device | str = "cpu") -> Tensor:
    """Step size × 1000 that a shortcut model is told: (1,) float32 (spec §6.3)."""
    size = 0.0 if settings.no_shortcut else TIME_SCALE / settings.inference_steps
    return torch.full((1,), size, dtype=torch.float32, device=device)


def sample(
    conditional: Velocity,
    unconditional: Velocity,
    noise: Latents,
    settings: SamplerSettings,
    on_step: Callable[[int, Latents], None] | None = None,
) -> Latents:
    """Follow the guided velocity from noise to data (spec §6.3, §6.4).

    on_step(done, latents) is called after each step, done = 1, 2, …; what it raises ends the sampling.
    """
    solve = SOLVERS[settings.solver]
    times = schedule(settings.inference_steps, settings.rescale_t)

    def velocity(latents: Latents, time: float) -> Latents:
        return guided(conditional, unconditional, latents, time, settings)

    latents = noise
    for done, (start, end) in enumerate(pairwise(times), start=1):
        latents = solve(velocity, latents, start, end - start)
        if on_step:
            on_step(done, latents)
    return latents


def guided(
    conditional: Velocity,
    unconditional: Velocity,
    latents: Latents,
    time: float,
    settings: SamplerSettings,
) -> Latents:
    """Velocity at a time in 0..1, pushed away from the unconditional one (spec §6.4)."""
    scaled = TIME_SCALE * time
    any_tensor = latents if isinstance(latents, Tensor) else next(iter(latents.values()))
    scaled_tensor = torch.full((1,), scaled, dtype=torch.float32, device=any_tensor.device)
    with_condition = conditional(latents, scaled_tensor)
    inside = settings.interval is not None and settings.interval[0] <= scaled <= settings.interval[1]
    if not inside or settings.strength == 0:
        return with_condition
    strength = settings.strength
    without = unconditional(latents, scaled_tensor)
    return _each(lambda c, u: (1 + strength) * c - strength * u, with_condition, without)


def euler(velocity: Callable[[Latents, float], Latents], x: Latents, t: float, dt: float) -> Latents:
    """One step along the velocity at its start."""
    return _along(x, velocity(x, t), dt)


def midpoint(velocity: Callable[[Latents, float], Latents], x: Latents, t: float, dt: float) -> Latents:
    """One step along the velocity half-way."""
    half = _along(x, velocity(x, t), dt / 2)
    return _along(x, velocity(half, t + dt / 2), dt)


def rk4(velocity: Callable[[Latents, float], Latents], x: Latents, t: float, dt: float) -> Latents:
    """One step of the classical Runge-Kutta method."""
    k1 = velocity(x, t)
    k2 = velocity(_along(x, k1, dt / 2), t + dt / 2)
    k3 = velocity(_along(x, k2, dt / 2), t + dt / 2)
    k4 = velocity(_along(x, k3, dt), t + dt)
    return _along(x, _each(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4), dt)


SOLVERS = {"euler": euler, "midpoint": midpoint, "rk4": rk4}


def _along(x: Latents, velocity: Latents, dt: float) -> Latents:
    return _each(lambda value, slope: value + dt * slope, x, velocity)


def _each(function: Callable[..., Tensor], *latents: Latents) -> Latents:
    """Apply a function of tensors to latents, name by name."""
    if isinstance(latents[0], Tensor):
        return function(*latents)
    return {name: function(*(named[name] for named in latents)) for name in latents[0]}
