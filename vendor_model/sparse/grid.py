"""Sparse voxel grids: which cells are present, and the tables between cells that networks look up.

Features stay plain (N, C) tensors whose rows are the cells of a grid; everything here depends on the
cells alone, is derived once, on demand, and is reused by every layer and every sampler step.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CHILD_OFFSETS = tuple((a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1))
"""The eight children of a cell in row order, z fastest (spec texture.md §2.3)."""

TAPS = tuple((a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1))
"""Offsets of a 3³ kernel in the order of its flattened weights, z fastest."""


@dataclass(frozen=True)
class Links:
    """Which cells a kernel reads.

    taps: for each tap the rows (outputs, inputs), int64, of the cells that have something there and of what
    they have there; count: number of outputs, with or without links.
    """

    taps: tuple[tuple[Tensor, Tensor], ...]
    count: int

    @classmethod
    def of(cls, table: Tensor, absent: int) -> "Links":
        """table (taps, outputs): row of the input at each tap, `absent` where there is none."""
        present = table != absent
        counts = present.sum(1).tolist()
        outputs = present.nonzero()[:, 1]
        inputs = table[present].long()
        return cls(tuple(zip(outputs.split(counts), inputs.split(counts), strict=True)), table.shape[1])


class SparseGrid:
    """The cells of a batch of voxel grids.

    coords: (N, 4) int32 rows (batch, x, y, z), each at most once, non-negative, batch ascending.
    batch_size: number of items, when trailing ones may be empty; otherwise read off the coords.
    lengths: cells of each item. A table entry equal to N means "no such cell".
    """

    def __init__(self, coords: Tensor, batch_size: int | None = None, parent: "SparseGrid | None" = None):
        self.coords = coords.int().contiguous()
        self.lengths: list[int] = torch.bincount(self.item_rows, minlength=batch_size or 0).tolist()
        self._parent = parent
        assert bool((self.item_rows.diff() >= 0).all()), "batch indices must ascend"

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def batch_size(self) -> int:
        return len(self.lengths)

    @cached_property
    def item_rows(self) -> Tensor:
        """(N,) int64: the batch item of each cell."""
        return self.coords[:, 0].long()

    def per_cell(self, values: Tensor) -> Tensor:
        """A row per batch item (B, C) -> what broadcasts against the cells: (N, C), or (1, C) if B = 1."""
        return values if self.batch_size == 1 else values.index_select(0, self.item_rows)

    @cached_property
    def neighbours(self) -> Tensor:
        """(27, N) int32: row of the cell at each of `TAPS` from each cell, N where there is none."""
        return self._search_neighbours() if self._parent is None else self._inherit_neighbours()

    @cached_property
    def links(self) -> Links:
        """`neighbours` without what is absent: what a 3³ kernel reads on this grid."""
        return Links.of(self.neighbours, len(self))

    def _search_neighbours(self) -> Tensor:
        count = len(self)
        table = self.coords.new_full((27, count), count)
        if count == 0:
            return table
        rows = torch.arange(count, dtype=torch.int32, device=table.device)
        table[13] = rows
        side = (
            int(self.coords[:, 1:].max()) + 3
        )  # a margin of one cell on both sides: no wrap into the next row
        item, x, y, z = self.coords.long().unbind(1)
        keys = ((item * side + x + 1) * side + y + 1) * side + z + 1
        ordered, order = keys.sort()
        for tap, (a, b, c) in enumerate(TAPS[:13]):
            wanted = keys + (a * side + b) * side + c
            place = torch.searchsorted(ordered, wanted).clamp_(max=count - 1)
            table[tap] = torch.where(ordered[place] == wanted, order[place].int(), count)
            mirrored = table.new_full((count + 1,), count)
            mirrored[table[tap].long()] = rows  # absent neighbours all write to the extra last entry
            table[26 - tap] = mirrored[:count]
        return table

    def _inherit_neighbours(self) -> Tensor:
        """A child's neighbour is a child of its parent's neighbour, so nothing has to be searched."""
        parents = self._parent.neighbours
        absent = len(self._parent)
        offsets = torch.tensor(CHILD_OFFSETS, device=parents.device)
        table = parents.new_empty(27, len(self))
        for tap, offset in enumerate(TAPS):
            reached = offsets + torch.tensor(offset, device=parents.device)
            parent_tap = ((reached.div(2, rounding_mode="floor") + 1) * parents.new_tensor([9, 3, 1])).sum(1)
            child = ((reached % 2) * parents.new_tensor([4, 2, 1])).sum(1).int()
            found = parents[parent_tap]
            table[tap] = torch.where(found == absent, len(self), found * 8 + child[:, None]).T.reshape(-1)
        return table

    @cached_property
    def subdivided(self) -> "SparseGrid":
        """Each cell replaced by its eight children, consecutive, in the order of `CHILD_OFFSETS`."""
        offsets = self.coords.new_tensor([(0, *offset) for offset in CHILD_OFFSETS])
        scale = self.coords.new_tensor([1, 2, 2, 2])
        coords = (self.coords * scale).unsqueeze(1) + offsets
        return SparseGrid(coords.reshape(-1, 4), self.batch_size, parent=self)

    @cached_property
    def _coarsening(self) -> tuple["SparseGrid", Tensor]:
        item, *axes = self.coords.long().unbind(1)
        side = int(self.coords[:, 1:].max()) // 2 + 1 if len(self) else 1
        keys = item
        for axis in axes:
            keys = keys * side + axis // 2
        keys, rows = keys.unique(return_inverse=True)
        coords = torch.stack(
            [keys // side**3, keys // side**2 % side, keys // side % side, keys % side], dim=1
        )
        return SparseGrid(coords, self.batch_size), rows

    @property
    def coarse(self) -> "SparseGrid":
        """The cells of twice the size that hold this grid's cells, sorted (spec texture.md §2.3)."""
        return self._coarsening[0]

    @property
    def coarse_rows(self) -> Tensor:
        """(N,) int64: row of the coarse cell that holds each cell."""
        return self._coarsening[1]

    @cached_property
    def children(self) -> Tensor:
        """(8, cells of `coarse`) int32: row of each child of each coarse cell, N where it is absent."""
        slots = ((self.coords[:, 1:].long() % 2) * self.item_rows.new_tensor([4, 2, 1])).sum(1)
        table = self.coords.new_full((8, len(self.coarse)), len(self))
        table[slots, self.coarse_rows] = torch.arange(len(self), dtype=torch.int32, device=table.device)
        return table

    @cached_property
    def coarse_links(self) -> Links:
        """What a 3³ kernel on this grid reads where neighbours carry the features of their coarse cells."""
        taps = tuple((outputs, self.coarse_rows[inputs]) for outputs, inputs in self.links.taps)
        return Links(taps, len(self))

    def pool(self, feats: Tensor) -> Tensor:
        """Features of `coarse`: Σ children / (count + 1), as released (spec texture.md §2.3)."""
        padded = torch.cat([feats, feats.new_zeros(1, feats.shape[1])])
        total = sum(padded.index_select(0, rows) for rows in self.children)
        present = (self.children < len(self)).sum(0)
        return total / (present + 1).unsqueeze(1)
