"""Decoders of the structured latent: Gaussian splats, and cube features for a mesh (spec texture.md §4–6).

Both return the numbers of their last layer; `surface.gaussians` and `surface.extraction` say what they mean.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.geometry_flow import BLOCK_NORM_EPS, OUTPUT_NORM_EPS
from vendor_model.models.layers import FeedForward, exactly, position_embedding_3d
from vendor_model.sparse.attention import Groups, SparseSelfAttention, window_groups
from vendor_model.sparse.convolution import PointwiseConvolution, SubmanifoldConvolution
from vendor_model.sparse.grid import SparseGrid
from vendor_model.surface.extraction import FEATURE_CHANNELS
from vendor_model.surface.gaussians import GaussianSettings, initial_offsets

NORM_GROUPS = 32

SLICE = 1 << 15
"""Cells that are turned to float32 at a time: no copy of all of them is ever made."""


class WindowBlock(nn.Module):
    """Self-attention inside windows, and feed-forward; norms without parameters (spec §4)."""

    def __init__(self, channels: int, num_heads: int, mlp_ratio: float):
        super().__init__()
        self.attn = SparseSelfAttention(channels, num_heads, qk_rms_norm=False)
        self.mlp = FeedForward(channels, mlp_ratio)

    def forward(self, x: Tensor, windows: Groups) -> Tensor:
        x = x + self.attn(F.layer_norm(x, x.shape[-1:], eps=BLOCK_NORM_EPS), windows)
        return x + self.mlp(F.layer_norm(x, x.shape[-1:], eps=BLOCK_NORM_EPS))


class DecoderTrunk(nn.Module):
    """What both decoders share (spec §4). resolution: cells along an edge of the latent's grid."""

    def __init__(
        self,
        resolution: int,
        model_channels: int,
        latent_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float,
        window_size: int,
    ):
        super().__init__()
        self.resolution = resolution
        self.model_channels = model_channels
        self.window_size = window_size
        self.input_layer = nn.Linear(latent_channels, model_channels)
        self.blocks = nn.ModuleList(
            WindowBlock(model_channels, num_heads, mlp_ratio) for _ in range(num_blocks)
        )

    def trunk(self, latent: Tensor, grid: SparseGrid) -> Tensor:
        """De-normalised latent (N, latent_channels) of the grid's cells -> (N, model_channels)."""
        x = exactly(self.input_layer, latent)
        x = x + position_embedding_3d(grid.coords[:, 1:], self.model_channels)
        layouts = [window_groups(grid, self.window_size, shift) for shift in (0, self.window_size // 2)]
        for index, block in enumerate(self.blocks):
            x = block(x, layouts[index % 2])
        return x

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.out_layer.weight)


class GaussianDecoder(DecoderTrunk):
    """Gaussian splats of each cell. representation_config: as released, see `GaussianSettings`."""

    def __init__(
        self,
        resolution: int,
        model_channels: int,
        latent_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        window_size: int = 8,
        representation_config: Mapping | None = None,
    ):
        super().__init__(
            resolution, model_channels, latent_channels, num_blocks, num_heads, mlp_ratio, window_size
        )
        self.settings = GaussianSettings.from_config(representation_config or {})
        self.out_layer = nn.Linear(model_channels, self.settings.head_channels)
        self.register_buffer("offset_perturbation", initial_offsets(self.settings))
        self._initialise()

    def forward(self, latent: Tensor, grid: SparseGrid) -> Tensor:
        """De-normalised latent (N, latent_channels) -> head (N, 14 · splats a cell)."""
        x = self.trunk(latent, grid)
        return exactly(self.out_layer, F.layer_norm(x, x.shape[-1:], eps=OUTPUT_NORM_EPS))


class SparseGroupNorm(nn.GroupNorm):
    """Group norm whose statistics span all cells of a batch item (spec §2.4)."""

    def forward(self, x: Tensor, grid: SparseGrid) -> Tensor:
        result = torch.empty_like(x)
        first = 0
        for length in grid.lengths:
            end = first + length
            mean, variance = self._moments(x[first:end])
            scale = self.weight * (variance + self.eps).rsqrt()
            for start in range(first, end, SLICE):
                cells = slice(start, min(start + SLICE, end))
                result[cells] = (x[cells] - mean) * scale + self.bias
            first = end
        return result

    def _moments(self, item: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel's group, (C,) float32, put together from slices."""
        moments = [
            torch.var_mean(cells.float().unflatten(1, (self.num_groups, -1)), dim=(0, 2), correction=0)
            for cells in item.split(SLICE)
        ]
        variances, means = (torch.stack(parts) for parts in zip(*moments, strict=True))
        shares = means.new_tensor([len(cells) / max(len(item), 1) for cells in item.split(SLICE)]).unsqueeze(
            1
        )
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        width = self.num_channels // self.num_groups
        return mean.repeat_interleave(width), variance.repeat_interleave(width)


class SubdivideBlock(nn.Module):
    """Each cell to eight of half the size, with two convolutions and a skip connection (spec §6)."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.act_layers = nn.ModuleList([SparseGroupNorm(NORM_GROUPS, channels)])
        self.out_layers = nn.ModuleList(
            [
                SubmanifoldConvolution(channels, out_channels),
                SparseGroupNorm(NORM_GROUPS, out_channels),
                nn.SiLU(inplace=True),
                SubmanifoldConvolution(out_channels, out_channels),
            ]
        )
        changes = channels != out_channels
        self.skip_connection = PointwiseConvolution(channels, out_channels) if changes else nn.Identity()

    def forward(self, x: Tensor, grid: SparseGrid) -> Tensor:
        """(N, channels) on the grid -> (8N, out_channels) on `grid.subdivided`."""
        first, norm, activation, second = self.out_layers
        h = first.after_subdivision(activation(self.act_layers[0](x, grid)), grid)
        h = second.within_subdivision(activation(norm(h, grid.subdivided)), grid)
        h.unflatten(0, (-1, 8)).add_(self.skip_connection(x).unsqueeze(1))
        return h


class MeshDecoder(DecoderTrunk):
    """Cube features from which a mesh is extracted.

    upsample_channels: width after each subdivision of the grid; as released a quarter and an eighth of
    model_channels. All widths from model_channels on are multiples of 32.
    """

    def __init__(
        self,
        resolution: int,
        model_channels: int,
        latent_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        window_size: int = 8,
        upsample_channels: Sequence[int] | None = None,
    ):
        super().__init__(
            resolution, model_channels, latent_channels, num_blocks, num_heads, mlp_ratio, window_size
        )
        widths = [model_channels, *(upsample_channels or (model_channels // 4, model_channels // 8))]
        self.upsample = nn.ModuleList(SubdivideBlock(width, narrower) for width, narrower in pairwise(widths))
        self.out_layer = nn.Linear(widths[-1], FEATURE_CHANNELS)
        self._initialise()

    @property
    def output_resolution(self) -> int:
        """Cubes along an edge of the grid that the features are for."""
        return self.resolution * 2 ** len(self.upsample)

    def forward(self, latent: Tensor, grid: SparseGrid) -> tuple[Tensor, SparseGrid]:
        """De-normalised latent (N, latent_channels) -> features (M, 101) and the grid of their M cubes."""
        x = self.trunk(latent, grid)
        for block in self.upsample:
            x, grid = block(x, grid), grid.subdivided
        features = x.new_empty(len(x), FEATURE_CHANNELS, dtype=torch.float32)
        for start in range(0, len(x), SLICE):
            features[start : start + SLICE] = exactly(self.out_layer, x[start : start + SLICE])
        return features, grid
