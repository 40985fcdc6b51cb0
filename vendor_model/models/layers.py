"""Layers that the geometry and the texture model share."""

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def exactly(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x) in float32, also where products run in 16 bits."""
    available = torch.amp.is_autocast_available(x.device.type)
    with torch.autocast(x.device.type, enabled=False) if available else nullcontext():
        return layer(x.float())


def sinusoid(values: Tensor, width: int = 256) -> Tensor:
    """Sinusoidal features, cosines first: (...,) -> (..., width) float32 (spec geometry.md §4)."""
    half = width // 2
    frequencies = torch.exp(
        torch.arange(half, dtype=torch.float32, device=values.device) * (-math.log(10000.0) / half)
    )
    angles = values.float().unsqueeze(-1) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedder(nn.Module):
    """Scalar (already scaled by 1000) to a vector: (...,) -> (..., channels) (spec geometry.md §4)."""

    def __init__(self, channels: int, frequencies: int = 256):
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(frequencies, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, values: Tensor) -> Tensor:
        return self.mlp(sinusoid(values, self.frequencies))


def position_embedding_3d(coordinates: Tensor, channels: int) -> Tensor:
    """Absolute position of grid cells: (N, 3) -> (N, channels) float32 (spec geometry.md §5.2).

    Per axis, sines first; zero-padded at the end where channels is not a multiple of six.
    """
    count = channels // 6
    frequencies = torch.arange(count, dtype=torch.float32, device=coordinates.device) / count
    frequencies = 1.0 / (10000.0**frequencies)
    angles = coordinates.float().unsqueeze(-1) * frequencies
    table = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return F.pad(table, (0, channels - table.shape[-1]))


class MultiHeadRMSNorm(nn.Module):
    """Unit length over the head's channels, times gamma and √d: (..., heads, d) (spec texture.md §2.4)."""

    def __init__(self, heads: int, head_channels: int):
        super().__init__()
        self.scale = head_channels**0.5
        self.gamma = nn.Parameter(torch.ones(heads, head_channels))

    def forward(self, x: Tensor) -> Tensor:
        return (F.normalize(x.float(), dim=-1) * self.gamma * self.scale).to(x.dtype)


class FeedForward(nn.Module):
    """Linear, tanh-approximated GELU, linear; checkpoint keys `mlp.0` and `mlp.2`."""

    def __init__(self, channels: int, ratio: float):
        super().__init__()
        hidden = int(channels * ratio)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x)
