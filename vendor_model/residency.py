"""Which of a model's modules are in memory: as many as the memory mode allows.

A mode is chosen from the memory found free, or forced. When memory runs out all the same, the next smaller
one takes over, and work that was lost is done again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from torch import nn

from vendor_model.memory import free_memory, give_back, is_out_of_memory
from vendor_model.precision import products_in


class MemoryMode(StrEnum):
    """HIGH: every module stays loaded. MEDIUM: those of one stage at a time. LOW: so, too, and what a sampler
    could keep from step to step it makes anew."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


SMALLER = {MemoryMode.HIGH: MemoryMode.MEDIUM, MemoryMode.MEDIUM: MemoryMode.LOW}

SAVINGS = {
    MemoryMode.MEDIUM: "only the part of the model that is at work stays loaded now",
    MemoryMode.LOW: "nothing is kept between steps now, which takes longer",
}


def choose_mode(free: int, weights: int) -> MemoryMode:
    """From the free memory of the device and the size of all weights, in bytes.

    Beside its weights the largest part of the released model takes about as much again at work.
    """
    if free >= 2 * weights:
        return MemoryMode.HIGH
    return MemoryMode.MEDIUM if free >= weights else MemoryMode.LOW


class Residency:
    """Modules by name, loaded when they are first used.

    load: a module by its name, on the device. dtype: in which precision its products run.
    mode: None to have it chosen. weights: bytes of all modules.
    """

    def __init__(
        self,
        load: Callable[[str], nn.Module],
        dtype: Callable[[str], torch.dtype],
        device: torch.device,
        weights: int,
        mode: MemoryMode | None = None,
    ):
        self.device = device
        self.mode = mode or choose_mode(free_memory(device), weights)
        self._load, self.dtype = load, dtype
        self._loaded: dict[str, nn.Module] = {}

    @property
    def loaded(self) -> frozenset[str]:
        """Names of the modules in memory."""
        return frozenset(self._loaded)

    @property
    def keeps_context(self) -> bool:
        """Whether a sampler may hold what it needs again in the next step."""
        return self.mode != MemoryMode.LOW

    @contextmanager
    def running(self, name: str) -> Iterator[nn.Module]:
        """A module, in whose precision products run inside."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        with products_in(self.dtype(name), self.device):
            yield self._loaded[name]

    def load_all(self, names: Iterable[str]) -> str:
        """Load modules before they are used; where memory runs out none, and a sentence says what then."""
        try:
            for name in names:
                self._loaded[name] = self._load(name)
            return ""
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only here, where the error no longer holds on to what was being loaded.
        return self.shrink()

    def end_stage(self) -> None:
        """Let go of what the mode does not keep."""
        if self.mode != MemoryMode.HIGH:
            self.release()

    def release(self) -> None:
        """Let go of every module, and of what the device holds for later."""
        self._loaded.clear()
        give_back()

    def shrink(self) -> str:
        """Go on in the next smaller mode, which there must be, and say so in a sentence."""
        self.mode = SMALLER[self.mode]
        self.release()
        return f"Memory ran out: {SAVINGS[self.mode]}."
