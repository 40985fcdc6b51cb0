"""How much memory this process has taken, and how much is left for it."""

import gc
import sys

OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED"),
    *("Invalid buffer size", "unable to find an engine to execute"),
    *("Cannot allocate memory", "os error 1455", "WinError 1455", "error code: <1455>"),
)
"""How PyTorch says so: of devices, of Linux and macOS, of Windows, and of CUDA's libraries; of a buffer too
large for Apple's devices, and of cuDNN, which finds no way in the memory left; then how those do that map
files, for which Windows wants room in its page file."""


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory(device) -> int:
    """Bytes that could be taken on a `torch.device` now."""
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    import psutil

    free = psutil.virtual_memory().available
    if device.type == "mps":
        return min(free, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free


def stay_on_device(device) -> None:
    """Have what does not fit on a `torch.device`, as much as is free there now, fail, so that less is tried.

    Else Windows and macOS put it elsewhere, where all of it is many times slower.
    """
    import torch

    if device.type == "mps":
        torch.mps.set_per_process_memory_fraction(1.0)
    elif device.type == "cuda" and sys.platform == "win32":
        free, total = torch.cuda.mem_get_info(device)
        own = torch.cuda.memory_reserved(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, (free + own) / total), device.index)


def give_back() -> None:
    """Let go of what nobody holds any more, here and on all devices, which keep it for later."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)
