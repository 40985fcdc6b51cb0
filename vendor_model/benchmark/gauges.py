"""What a piece of work takes: seconds, memory, floating-point operations, and what the device could do."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

SECONDS_BETWEEN_LOOKS = 0.01


@dataclass(frozen=True)
class Reading:
    """seconds: on the clock; cpu_seconds: of this process, all its threads; peak_ram: bytes of the process
    less mapped files; peak_device: bytes on the accelerator, or, on a CPU, of the tensors alive, weights and
    inputs too: what an accelerator would hold beside its libraries and their workspaces, were it to compute
    in the same precision. flops: 2 a multiply-add."""

    seconds: float
    cpu_seconds: float
    peak_ram: int
    peak_device: int
    flops: int


def measure(work: Callable[[], object], device: torch.device) -> tuple[object, Reading]:
    """Do a piece of work, and take its readings.

    On an accelerator it is done twice, first to warm up and to count operations, then by the clock; a CPU is
    slow enough that counting does not show.
    """
    on_cpu = device.type == "cpu"
    operations = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    with operations as counter, LiveTensors() if on_cpu else nullcontext() as live:
        result, seconds, cpu_seconds, ram, peak_device = _clocked(work, device)
    if on_cpu:
        peak_device = live.peak
    else:
        result, seconds, cpu_seconds, ram, peak_device = _clocked(work, device)
    return result, Reading(seconds, cpu_seconds, ram, peak_device, counter.get_total_flops())


class LiveTensors(TorchDispatchMode):
    """`peak`: the most bytes that tensors took at a time, those included that there were before."""

    def __init__(self):
        super().__init__()
        self._bytes: dict[int, int] = {}
        self._now = self.peak = 0
        for thing in gc.get_objects():
            if issubclass(type(thing), Tensor):  # isinstance would ask objects that only load when asked
                self._meet(thing)

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._meet(leaf)
        return result

    def _meet(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        number = storage._cdata
        if number not in self._bytes:
            self._bytes[number] = storage.nbytes()
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, self._part, number)

    def _part(self, number: int) -> None:
        self._now -= self._bytes.pop(number)


def _attention_flops(query, key, value, *_, out_shape=None, **__) -> int:
    return sdpa_flop_count(query, key, value)


CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
"""The one product that the counter does not know."""


def _clocked(work: Callable[[], object], device: torch.device) -> tuple[object, float, float, int, int]:
    _wait(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with _Memory(device) as memory:
        began, began_cpu = time.perf_counter(), time.process_time()
        result = work()
        _wait(device)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    peak_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.device
    return result, seconds, cpu_seconds, memory.ram, peak_device


class _Memory:
    """The most memory that a thread has seen taken, `ram` by the process and `device` by an Apple GPU."""

    def __init__(self, device: torch.device):
        self.ram = self.device = 0
        self._is_mps = device.type == "mps"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            taken = process.memory_info()
            self.ram = max(self.ram, taken.rss - getattr(taken, "shared", 0))
            if self._is_mps:
                self.device = max(self.device, torch.mps.driver_allocated_memory())
            if self._over.wait(SECONDS_BETWEEN_LOOKS):
                return


def throughput(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a large product of matrices; on a CPU a second of its own, whoever shares it."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    size, times = (1024, 3) if device.type == "cpu" else (8192, 20)
    matrix = torch.ones(size, size, dtype=dtype, device=device)
    matrix @ matrix
    seconds = []
    for _ in range(times):
        _wait(device)
        began = clock()
        matrix @ matrix
        _wait(device)
        seconds.append(clock() - began)
    return 2 * size**3 / min(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
