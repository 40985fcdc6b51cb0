"""Safetensors files of any size, written tensor by tensor.

The library's own writer wants all tensors of a file in memory at once. Format: a header of JSON after its
length, then the values (https://github.com/huggingface/safetensors#format).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vendor_model.errors import CheckpointError

FORMAT_NAMES = {torch.float16: "F16", torch.float32: "F32"}
ALIGNMENT = 8


@dataclass(frozen=True)
class Stored:
    """A tensor as it will be stored: under which key, in which precision."""

    key: str
    tensor: Tensor
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return self.tensor.numel() * self.dtype.itemsize

    def content(self) -> bytes:
        """Its values, row-major. Raises CheckpointError when the precision cannot hold them."""
        values = self.tensor.to(self.dtype)
        if not values.isfinite().all():
            raise CheckpointError(
                f"Tensor {self.key} holds values that {self.dtype} cannot: fetch the model again."
            )
        return values.contiguous().numpy().tobytes()


def write_tensors(
    path: Path,
    tensors: Sequence[Stored],
    metadata: Mapping[str, str],
    on_written: Callable[[int], None],
) -> None:
    """Write a safetensors file. on_written: told each tensor's bytes; may raise to stop.

    Raises OSError when the file cannot be written.
    """
    tensors = sorted(tensors, key=lambda stored: -stored.dtype.itemsize)  # keeps every tensor aligned
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for stored in tensors:
        begin, end = end, end + stored.nbytes
        header[stored.key] = {
            "dtype": FORMAT_NAMES[stored.dtype],
            "shape": list(stored.tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for stored in tensors:
            file.write(stored.content())
            on_written(stored.nbytes)
