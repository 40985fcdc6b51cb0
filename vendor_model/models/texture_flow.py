"""Flow over structured latents: a transformer on the coarse cells between residual blocks on the fine ones
(spec texture.md §3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.geometry_flow import (
    BLOCK_NORM_EPS,
    OUTPUT_NORM_EPS,
    BlockContext,
    Constant,
    CrossAttention,
)
from vendor_model.models.layers import FeedForward, TimestepEmbedder, exactly, position_embedding_3d
from vendor_model.sparse.attention import Groups, SparseSelfAttention, from_dense, item_groups, to_dense
from vendor_model.sparse.convolution import SubmanifoldConvolution
from vendor_model.sparse.grid import SparseGrid

Context = list[BlockContext]
"""What every block attends to."""


@dataclass(frozen=True)
class FlowGrid:
    """What the network needs to know of the cells, for all steps of a sampler.

    levels: the fine grid, then ever coarser ones; items: batch items of the coarsest; positions: their
    cells' (N, model_channels) position embedding.
    """

    levels: tuple[SparseGrid, ...]
    items: Groups
    positions: Tensor


class SparseResBlock(nn.Module):
    """Two convolutions under a time-dependent scale and shift, with a skip connection (spec §3).

    resample: None, "down" (to the coarse cells of the given grid) or "up" (from them).
    """

    def __init__(self, channels: int, emb_channels: int, out_channels: int, resample: str | None = None):
        super().__init__()
        assert resample in (None, "down", "up")
        self.resample = resample
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.conv1 = SubmanifoldConvolution(channels, out_channels)
        self.conv2 = SubmanifoldConvolution(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, 2 * out_channels))
        changes = channels != out_channels
        self.skip_connection = nn.Linear(channels, out_channels) if changes else nn.Identity()

    def forward(self, x: Tensor, grid: SparseGrid, time: Tensor) -> Tensor:
        """x: cells of `grid`, or of `grid.coarse` when the block goes up; time: (B, E) embedded time."""
        if self.resample == "down":
            x, grid = grid.pool(x), grid.coarse
        up = self.resample == "up"
        scale, shift = (grid.per_cell(part) for part in self.emb_layers(time).chunk(2, dim=-1))
        # Norm, activation and skip act on single cells: before up-sampling they are the same and cheaper.
        h = self.conv1(F.silu(self.norm1(x)), grid.coarse_links if up else grid.links)
        h = _normalise(h, BLOCK_NORM_EPS) * (1 + scale) + shift
        h = self.conv2(F.silu(h), grid.links)
        skip = self.skip_connection(x)
        return h + (skip.index_select(0, grid.coarse_rows) if up else skip)


class ModulatedCrossBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward of the coarse cells (spec §3)."""

    def __init__(
        self, channels: int, ctx_channels: int, num_heads: int, mlp_ratio: float, qk_rms_norm: bool = True
    ):
        super().__init__()
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_NORM_EPS)
        self.self_attn = SparseSelfAttention(channels, num_heads, qk_rms_norm)
        self.cross_attn = CrossAttention(channels, ctx_channels, num_heads)
        self.mlp = FeedForward(channels, mlp_ratio)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(channels, 6 * channels))

    def forward(
        self, x: Tensor, grid: SparseGrid, items: Groups, time: Tensor, context: BlockContext
    ) -> Tensor:
        modulation = self.adaLN_modulation(time).chunk(6, dim=-1)
        shift1, scale1, gate1, shift2, scale2, gate2 = (grid.per_cell(part) for part in modulation)
        attended = self.self_attn(_normalise(x, BLOCK_NORM_EPS) * (1 + scale1) + shift1, items)
        x = x + gate1 * attended
        if isinstance(context, Constant):
            x = x + context.value
        else:
            x = x + from_dense(self.cross_attn(to_dense(self.norm2(x), items), context), items)
        return x + gate2 * self.mlp(_normalise(x, BLOCK_NORM_EPS) * (1 + scale2) + shift2)


class TextureFlow(nn.Module):
    """Velocity of the structured latent; state-dict keys stand below `reverse_fn.backbone.`.

    resolution: cells along an edge of the grid; io_block_channels: widths of the levels above the
    transformer's, each of twice the resolution of the next; patch_size: 2 to their number.
    """

    def __init__(
        self,
        resolution: int,
        in_channels: int,
        model_channels: int,
        cond_channels: int,
        out_channels: int,
        num_blocks: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        patch_size: int = 2,
        num_io_res_blocks: int = 2,
        io_block_channels: Sequence[int] = (128,),
        qk_rms_norm: bool = True,
    ):
        super().__init__()
        assert patch_size == 2 ** len(io_block_channels), (
            "each width in io_block_channels halves the grid once"
        )
        self.resolution = resolution
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.cond_channels = cond_channels
        self.model_channels = model_channels
        widths = [*io_block_channels, model_channels]
        self.t_embedder = TimestepEmbedder(model_channels)
        self.input_layer = nn.Linear(in_channels, widths[0])
        self.input_blocks = nn.ModuleList()
        for width, wider in pairwise(widths):
            for _ in range(num_io_res_blocks - 1):
                self.input_blocks.append(SparseResBlock(width, model_channels, width))
            self.input_blocks.append(SparseResBlock(width, model_channels, wider, "down"))
        self.blocks = nn.ModuleList(
            ModulatedCrossBlock(model_channels, cond_channels, num_heads, mlp_ratio, qk_rms_norm)
            for _ in range(num_blocks)
        )
        self.out_blocks = nn.ModuleList()
        for width, wider in reversed(list(pairwise(widths))):
            self.out_blocks.append(SparseResBlock(2 * wider, model_channels, width, "up"))
            for _ in range(num_io_res_blocks - 1):
                self.out_blocks.append(SparseResBlock(2 * width, model_channels, width))
        self.out_layer = nn.Linear(widths[0], out_channels)
        self._initialise()

    def prepare_coords(self, coords: Tensor, batch_size: int | None = None) -> FlowGrid:
        """(N, 4) int32 rows (batch, x, y, z), batch ascending, to the tables that all steps reuse."""
        levels = [SparseGrid(coords, batch_size)]
        while 2 ** (len(levels) - 1) < self.patch_size:
            levels.append(levels[-1].coarse)
        coarsest = levels[-1]
        positions = position_embedding_3d(coarsest.coords[:, 1:], self.model_channels)
        return FlowGrid(tuple(levels), item_groups(coarsest), positions)

    def prepare_context(self, tokens: Tensor, keep: bool = True) -> Context:
        """As that of the geometry flow."""
        return [block.cross_attn.prepare(tokens, keep) for block in self.blocks]

    def unconditional_context(self) -> Context:
        """Context of zeroed tokens (spec §1)."""
        return [block.cross_attn.of_zeros() for block in self.blocks]

    def forward(self, x: Tensor, t: Tensor, grid: FlowGrid, context: Context) -> Tensor:
        """Velocity (N, out_channels) of the latent.

        x: (N, in_channels), a row a cell; t: (B,) or (1,), time × 1000; grid: of `prepare_coords`;
        context: of batch b where B = b · n, the n items of one condition being neighbours.
        """
        fine, coarsest = grid.levels[0], grid.levels[-1]
        time = self.t_embedder(t).expand(fine.batch_size, -1)
        levels = iter(grid.levels)
        level = next(levels)
        h = exactly(self.input_layer, x)
        skips = []
        for block in self.input_blocks:
            h = block(h, level, time)
            skips.append(h)
            level = next(levels) if block.resample == "down" else level
        h = h + grid.positions
        for block, block_context in zip(self.blocks, context, strict=True):
            h = block(h, coarsest, grid.items, time, block_context)
        levels = iter(reversed(grid.levels[:-1]))
        for block in self.out_blocks:
            level = next(levels) if block.resample == "up" else level
            h = block(torch.cat([h, skips.pop()], dim=1), level, time)
        return exactly(self.out_layer, _normalise(h, OUTPUT_NORM_EPS))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.t_embedder.mlp[0].weight, std=0.02)
        nn.init.normal_(self.t_embedder.mlp[2].weight, std=0.02)
        # A new network's residual branches add nothing and it predicts zero.
        silent = [block.adaLN_modulation[1] for block in self.blocks] + [self.out_layer]
        silent += [block.conv2.conv for block in [*self.input_blocks, *self.out_blocks]]
        for layer in silent:
            nn.init.zeros_(layer.weight)


def denormalise(latent: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """What the flow samples -> what the decoders read: (N, C) · std + mean, per channel (spec §3.1)."""
    return latent * latent.new_tensor(std) + latent.new_tensor(mean)


def _normalise(x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=eps)
