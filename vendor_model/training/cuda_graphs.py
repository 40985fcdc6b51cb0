"""Work on a GPU that is told once and then run again and again.

A step of a small network is thousands of kernels, each of which takes a GPU less time than being told of it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def captured(
    work: Callable[..., T], batches: Sequence[dict[str, Tensor]], rng: torch.Generator
) -> Callable[..., T]:
    """`work(*batches)` as a CUDA graph of the current stream, on which it has run before: for batches shaped
    as these, and without any step that waits for the GPU. Each call overwrites what the last one returned.

    rng: the generator that it draws from, which goes on as it would."""
    held = [{name: value.clone() for name, value in batch.items()} for batch in batches]
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(rng)
    # Other threads go on reading samples meanwhile.
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        results = work(*held)

    def again(*batches: dict[str, Tensor]) -> T:
        for kept, batch in zip(held, batches, strict=True):
            torch._foreach_copy_([kept[name] for name in kept], [batch[name] for name in kept])
        graph.replay()
        return results

    return again
