"""Attention among the cells of a sparse grid, inside groups of them.

A group is a batch item (full attention) or a window of one (spec texture.md §2.5). Groups of similar size are
padded to a common length and attended in one call, so no mask grows with the square of all cells.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.layers import MultiHeadRMSNorm
from vendor_model.sparse.grid import SparseGrid

WINDOW_STEP = 32
"""Windows are padded together when their lengths round up to the same multiple of this."""


@dataclass(frozen=True)
class Bucket:
    """G groups of at most L cells. rows: (G, L) cells, filled up with any cell; present: (G, L) bool where
    rows are real, or None when all are."""

    rows: Tensor
    present: Tensor | None


@dataclass(frozen=True)
class Groups:
    """A partition of N cells. ids: (N,) group of each cell; lengths: (groups,) cells of each group;
    places: (N,) where each cell's result stands when the buckets' results are laid end to end."""

    ids: Tensor
    lengths: Tensor
    buckets: tuple[Bucket, ...]
    places: Tensor


def item_groups(grid: SparseGrid) -> Groups:
    """One group per batch item, all in one bucket; no item may be empty."""
    assert min(grid.lengths, default=0) > 0, "an item without cells cannot attend"
    lengths = torch.tensor(grid.lengths, device=grid.coords.device)
    return _partition(grid.item_rows, lengths, step=max(grid.lengths))


def window_groups(grid: SparseGrid, size: int, shift: int) -> Groups:
    """One group per occupied window of size³ cells, after shifting coordinates by +shift; in ascending
    (batch, x, y, z) order of the windows. No wrap-around."""
    item, *axes = grid.coords.long().unbind(1)
    side = (int(grid.coords[:, 1:].max()) + shift) // size + 1 if len(grid) else 1
    keys = item
    for axis in axes:
        keys = keys * side + (axis + shift) // size
    _, ids, lengths = keys.unique(return_inverse=True, return_counts=True)
    return _partition(ids, lengths, WINDOW_STEP)


def _partition(ids: Tensor, lengths: Tensor, step: int) -> Groups:
    order = ids.argsort(stable=True)
    starts = lengths.cumsum(0) - lengths
    classes = (lengths + step - 1) // step
    places = torch.empty_like(ids)
    buckets, laid = [], 0
    for level in classes.unique().tolist():
        groups = (classes == level).nonzero().squeeze(1)
        columns = torch.arange(int(lengths[groups].max()), device=ids.device)
        present = columns < lengths[groups, None]
        rows = order[(starts[groups, None] + columns).clamp(max=len(ids) - 1)]
        places[rows[present]] = laid + present.flatten().nonzero().squeeze(1)
        laid += rows.numel()
        buckets.append(Bucket(rows, None if bool(present.all()) else present))
    return Groups(ids, lengths, tuple(buckets), places)


def attend_within(queries: Tensor, keys: Tensor, values: Tensor, groups: Groups) -> Tensor:
    """Each cell to the cells of its group: three (N, H, d) -> (N, H, d)."""
    results = []
    for bucket in groups.buckets:
        q, k, v = (x[bucket.rows].transpose(1, 2) for x in (queries, keys, values))
        mask = None if bucket.present is None else bucket.present[:, None, None, :]
        results.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(0, 1))
    return torch.cat(results).index_select(0, groups.places)


def to_dense(x: Tensor, items: Groups) -> Tensor:
    """Cells of each item side by side, shorter items filled up with other cells: (N, C) -> (B, L, C)."""
    (bucket,) = items.buckets
    return x[bucket.rows]


def from_dense(x: Tensor, groups: Groups) -> Tensor:
    """Inverse of `to_dense`: (B, L, C) -> (N, C)."""
    return x.flatten(0, 1).index_select(0, groups.places)


class SparseSelfAttention(nn.Module):
    """Multi-head attention inside groups, with or without normalised queries and keys."""

    def __init__(self, channels: int, num_heads: int, qk_rms_norm: bool):
        super().__init__()
        self.num_heads = num_heads
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        self.qk_rms_norm = qk_rms_norm
        if qk_rms_norm:
            self.q_rms_norm = MultiHeadRMSNorm(num_heads, channels // num_heads)
            self.k_rms_norm = MultiHeadRMSNorm(num_heads, channels // num_heads)

    def forward(self, x: Tensor, groups: Groups) -> Tensor:
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        if self.qk_rms_norm:
            q, k = self.q_rms_norm(q), self.k_rms_norm(k)
        return self.to_out(attend_within(q, k, v, groups).flatten(1))
