"""Submanifold convolutions: outputs live exactly where the inputs do (spec texture.md §2.1, §2.2).

All are one sum over kernel taps, `bias + Σ features[inputs] @ W[tap]`, added in float32 to the rows that the
tap's links name: absent neighbours cost nothing, and the 27-fold copy of the features is never built.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

from vendor_model.sparse.grid import CHILD_OFFSETS, TAPS, Links, SparseGrid

GATHERED = 1 << 24
"""Numbers that are looked up before they are multiplied, at a time."""


def convolve(feats: Tensor, links: Links, weights: Tensor, bias: Tensor) -> Tensor:
    """Sum over taps: feats (N, I), weights (T, I, O) -> (links.count, O)."""
    total = bias.float().expand(links.count, -1).clone()
    for (outputs, inputs), weight in zip(links.taps, weights, strict=True):
        # What is multiplied before it is looked up is kept once, not once a tap, for the backward pass.
        if torch.is_grad_enabled() or len(inputs) > len(feats):
            products = (feats @ weight).index_select(0, inputs)
        else:
            products = feats.index_select(0, inputs) @ weight
        total.index_add_(0, outputs, products.float())
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

    def forward(self, feats: Tensor, links: Links) -> Tensor:
        """(N, I) -> (M, O). links: `grid.links`, or `grid.coarse_links` when feats are those of the coarse
        grid: that equals convolving after up-sampling, at a fraction of the products."""
        return convolve(feats, links, self._taps(), self.conv.bias)

    def after_subdivision(self, feats: Tensor, grid: SparseGrid) -> Tensor:
        """The convolution on `grid.subdivided`, where all children carry their parent's features.

        feats (N, I) of the parents -> (8N, O). Of the 27 neighbours of a child only 8 have different parents,
        so the kernel slices that see the same parent are summed: 8 taps a child (spec texture.md §6).
        """
        kernel = self.conv.weight.permute(1, 2, 3, 4, 0)
        children = []
        for child in CHILD_OFFSETS:
            merged = kernel
            for axis, parity in enumerate(child):
                merged = _merge(merged, axis, parity)
            seen = [tap for tap, offset in enumerate(TAPS) if _reaches(offset, child)]
            links = Links(tuple(grid.links.taps[tap] for tap in seen), len(grid))
            children.append(convolve(feats, links, merged.flatten(0, 2), self.conv.bias))
        return torch.stack(children, dim=1).flatten(0, 1)

    def within_subdivision(self, feats: Tensor, grid: SparseGrid) -> Tensor:
        """The convolution on `grid.subdivided`: (8N, I) -> (8N, O), without that grid's table of neighbours.

        A child's neighbours are children of its parent's neighbours: those that share a parent are looked up
        side by side and multiplied at once, 8 products a child instead of 27.
        """
        if torch.is_grad_enabled():  # see `convolve`
            return self(feats, grid.subdivided.links)
        taps, result = self._taps(), None
        for place, child in enumerate(CHILD_OFFSETS):
            total = self.conv.bias.float().expand(len(grid), -1).clone()
            for parent, members in _by_parent(child).items():
                weight = torch.cat([taps[tap] for tap, _ in members])
                siblings = torch.tensor([sibling for _, sibling in members], device=feats.device)
                rows = max(1, GATHERED // len(weight))
                for outputs, inputs in zip(
                    *(part.split(rows) for part in grid.links.taps[parent]), strict=True
                ):
                    seen = feats.index_select(0, (inputs.unsqueeze(1) * 8 + siblings).flatten())
                    products = seen.view(len(inputs), len(weight)) @ weight
                    total.index_add_(0, outputs, products.float())
            if result is None:
                result = products.new_empty(len(grid), 8, total.shape[1])
            result[:, place] = total
        return result.flatten(0, 1)

    def _taps(self) -> Tensor:
        return self.conv.weight.permute(1, 2, 3, 4, 0).flatten(0, 2)


def _reaches(offset: tuple[int, int, int], child: tuple[int, int, int]) -> bool:
    """Whether a child touches the cell at the offset from its parent."""
    return all(step in (parity - 1, parity) for step, parity in zip(offset, child, strict=True))


@lru_cache(maxsize=8)
def _by_parent(child: tuple[int, int, int]) -> dict[int, list[tuple[int, int]]]:
    """The 27 taps of a child by the tap at which its parent has the neighbour's parent: (tap, place of the
    neighbour among its siblings)."""
    groups: dict[int, list[tuple[int, int]]] = {}
    for tap, offset in enumerate(TAPS):
        reached = [parity + step for parity, step in zip(child, offset, strict=True)]
        parent = TAPS.index(tuple(place // 2 for place in reached))
        groups.setdefault(parent, []).append(
            (tap, CHILD_OFFSETS.index(tuple(place % 2 for place in reached)))
        )
    return groups


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
