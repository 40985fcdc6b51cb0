"""Batches read ahead by processes of their own, so that a GPU does not wait for its samples."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vendor_model.errors import UserError

Stream = Callable[[int], Iterator[dict[str, Tensor]]]
"""The endless batches of a reader of this number, dicts of tensors, which keep their kind on the way between
processes (tuples would not). It can be pickled."""


def read_ahead(stream: Stream, readers: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Batches on the CPU, for ever: of so many readers by turns, each in a process; of reader 0 in this one
    when there are none. For a GPU they lie in memory that it copies from. Raises UserError as the stream
    does."""
    if not readers:
        yield from stream(0)
        return
    pinned = device.type == "cuda"
    for batch in DataLoader(
        _Reader(stream), None, num_workers=readers, pin_memory=pinned, multiprocessing_context="spawn"
    ):
        if isinstance(batch, UserError):
            raise batch
        yield batch


class _Reader(IterableDataset):
    """One reader's stream; an error ends it as its last item, or its words would come in a traceback."""

    def __init__(self, stream: Stream):
        self.stream = stream

    def __iter__(self) -> Iterator:
        torch.set_num_threads(1)
        try:
            yield from self.stream(get_worker_info().id)
        except UserError as error:
            yield error
