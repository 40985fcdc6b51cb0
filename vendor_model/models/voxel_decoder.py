"""Shape latent to a grid of occupancy logits (spec geometry.md §7.1, §7.2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each cell, in float32: (B, C, D, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1).float()).movedim(-1, 1).to(x.dtype)


SMALL = 20480
"""Channels times cells along the first two axes, up to which PyTorch keeps a single grid from oneDNN."""


class Convolution(nn.Conv3d):
    """A convolution of 3³ taps over (B, C, D, H, W).

    Of one small float32 grid PyTorch's own takes a CPU up to twelve times as long as the same in slices.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__(channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if not _slow_alone(x):
            return super().forward(x)
        depth, cells = x.shape[2], x[0].movedim(0, -1)
        padded = F.pad(cells, (0, 0, 0, 0, 0, 0, 1, 1))
        slices = torch.cat([padded[tap : tap + depth] for tap in range(3)], -1).movedim(-1, 1)
        weight = self.weight.transpose(1, 2).flatten(1, 2)  # taps along the depth count as channels
        weight = weight.contiguous(memory_format=torch.channels_last)
        return F.conv2d(slices, weight, self.bias, padding=1).transpose(0, 1)[None]


def _slow_alone(x: Tensor) -> bool:
    single = x.device.type == "cpu" and len(x) == 1 and x[..., 0].numel() <= SMALL
    return single and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class ResidualBlock(nn.Module):
    """Two convolutions, each after norm and SiLU, beside the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels)
        self.conv1 = Convolution(channels, channels)
        self.norm2 = ChannelLayerNorm(channels)
        self.conv2 = Convolution(channels, channels)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(hidden)))


class Upsample(nn.Module):
    """Convolution to eight times the channels, spread over 2³ cells."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.conv = Convolution(channels, 8 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle_3d(self.conv(x))


def pixel_shuffle_3d(x: Tensor) -> Tensor:
    """Channel ((c·2+a)·2+b)·2+g of cell (i,j,k) to cell (2i+a, 2j+b, 2k+g): (B, 8C, r³) -> (B, C, (2r)³)."""
    cells = x.unflatten(1, (-1, 2, 2, 2)).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return cells.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def tokens_to_grid(tokens: Tensor) -> Tensor:
    """Tokens of a row-major cube to that cube: (B, r³, C) -> (B, C, r, r, r)."""
    side = round(tokens.shape[1] ** (1 / 3))
    return tokens.transpose(1, 2).unflatten(2, (side, side, side))


class VoxelDecoder(nn.Module):
    """Latent cube (B, latent_channels, r, r, r) to logits (B, out_channels, R, R, R).

    `channels` lists the width of each level; each after the first doubles the side, so
    R = r · 2^(levels - 1).
    """

    def __init__(
        self,
        out_channels: int,
        latent_channels: int,
        num_res_blocks: int,
        channels: Sequence[int],
        num_res_blocks_middle: int = 2,
    ):
        super().__init__()
        self.input_layer = Convolution(latent_channels, channels[0])
        self.middle_block = nn.Sequential(*(ResidualBlock(channels[0]) for _ in range(num_res_blocks_middle)))
        blocks = []
        for level, width in enumerate(channels):
            if level:
                blocks.append(Upsample(channels[level - 1], width))
            blocks.extend(ResidualBlock(width) for _ in range(num_res_blocks))
        self.blocks = nn.Sequential(*blocks)
        self.out_layer = nn.Sequential(
            ChannelLayerNorm(channels[-1]), nn.SiLU(), Convolution(channels[-1], out_channels)
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.out_layer(self.blocks(self.middle_block(self.input_layer(latent))))
