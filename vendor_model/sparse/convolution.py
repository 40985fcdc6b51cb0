"""Submanifold convolutions: outputs live exactly where the inputs do (spec texture.md §2.1, §2.2).

All are one sum over kernel taps, `bias + Σ (features @ W[tap])[table[tap]]`. Multiplying before looking up
never builds the 27-fold copy of the features, neither here nor for the backward pass.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.sparse.grid import CHILD_OFFSETS, SparseGrid


def convolve(feats: Tensor, table: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Sum over taps: feats (N, I), table (T, M) rows of feats or N for none, weights (T, I, O) -> (M, O)."""
    padded = F.pad(feats, (0, 0, 0, 1))
    total = bias.float().expand(table.shape[1], -1).clone()
    for rows, weight in zip(table, weights, strict=True):
        products = padded @ weight
        total += products.index_select(0, rows)
    return total.to(products.dtype)


class Kernel(nn.Module):
    """Parameters of a convolution: weight (O, size, size, size, I), bias (O,)."""

    def __init__(self, in_channels: int, out_channels: int, size: int):
        super().__init__()
        bound = (in_channels * size**3) ** -0.5
        self.weight = nn.Parameter(
            torch.empty(out_channels, size, size, size, in_channels).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))


class SubmanifoldConvolution(nn.Module):
    """3³ cross-correlation over present cells."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = Kernel(in_channels, out_channels, 3)

    def forward(self, feats: Tensor, table: Tensor) -> Tensor:
        """(N, I) -> (M, O). table (27, M): `grid.neighbours`, or `grid.coarse_neighbours` when feats are
        those of the coarse grid: that equals convolving after up-sampling, at a fraction of the products."""
        taps = self.conv.weight.permute(1, 2, 3, 4, 0).flatten(0, 2)
        return convolve(feats, table, taps, self.conv.bias)

    def after_subdivision(self, feats: Tensor, grid: SparseGrid) -> Tensor:
        """The convolution on `grid.subdivided`, where all children carry their parent's features.

        feats (N, I) of the parents -> (8N, O). Of the 27 neighbours of a child only 8 have different parents,
        so the kernel slices that see the same parent are summed: 8 taps a child (spec texture.md §6).
        """
        kernel = self.conv.weight.permute(1, 2, 3, 4, 0)
        neighbours = grid.neighbours.view(3, 3, 3, -1)
        children = []
        for a, b, c in CHILD_OFFSETS:
            merged = _merge(_merge(_merge(kernel, 0, a), 1, b), 2, c)
            table = neighbours[a : a + 2, b : b + 2, c : c + 2]
            children.append(convolve(feats, table.flatten(0, 2), merged.flatten(0, 2), self.conv.bias))
        return torch.stack(children, dim=1).flatten(0, 1)


def _merge(kernel: Tensor, axis: int, parity: int) -> Tensor:
    """Three taps of a child along an axis -> two taps of its parent: first the lower neighbour."""
    first, middle, last = kernel.split(1, dim=axis)
    pair = (first, middle + last) if parity == 0 else (first + middle, last)
    return torch.cat(pair, dim=axis)


class PointwiseConvolution(nn.Module):
    """1³ convolution as released: the flat memory of the (O, 1, 1, 1, I) weight, read as (I, O).

    The library of the release does not transpose here and the model was trained so (spec texture.md §2.2).
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = Kernel(in_channels, out_channels, 1)

    def forward(self, feats: Tensor) -> Tensor:
        weight = self.conv.weight.reshape(feats.shape[1], -1)
        return feats @ weight + self.conv.bias
