"""Weights files: safetensors, read by memory map and written whole.

A tensor that several modules use, such as a frozen encoder's, may lie once in `shared.safetensors` of the
same folder, under the hash of its content; the metadata of the files that use it say which key it stands
for. It is loaded once, too, for as long as one of its modules lives.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vendor_model.checkpoints.modules import WEIGHTS, build_one, weights_file, without_weights
from vendor_model.config import PipelineConfig
from vendor_model.errors import CheckpointError
from vendor_model.memory import is_out_of_memory
from vendor_model.moving import move
from vendor_model.precision import weight_dtype

SHARED_FILE = "shared.safetensors"
SHARED_KEYS = "shared"
"""Metadata entry of a weights file: JSON of its own key -> key in `SHARED_FILE`."""

_shared_parameters: WeakValueDictionary[tuple, nn.Parameter] = WeakValueDictionary()
"""(file, key, device, dtype) -> what modules that are in use were filled with."""


def load(
    folder: Path,
    config: PipelineConfig,
    device: torch.device,
    dtype: torch.dtype | None = torch.float32,
) -> dict[str, nn.Module]:
    """Every module of a folder by its name in `WEIGHTS`; see `load_module`."""
    return {
        name: load_module(folder, config, name, device, dtype) for names in WEIGHTS.values() for name in names
    }


def size(folder: Path, config: PipelineConfig, dtype: Callable[[str], torch.dtype]) -> int:
    """Bytes of all modules of a folder in memory, equal tensors once. dtype: in which precision the products
    of a module run, by its name in `WEIGHTS`. Raises CheckpointError."""
    sizes = {}
    for file, names in WEIGHTS.items():
        weights = WeightsFile(folder / getattr(config, f"{file}_ckpt_path"))
        for name, prefix in names.items():
            for key, shape in weights.shapes.items():
                if key.startswith(prefix):
                    kept = weight_dtype(key.removeprefix(prefix), shape, dtype(name))
                    tensor = weights.shared_keys.get(key, (file, key)), kept
                    sizes[tensor] = math.prod(shape) * kept.itemsize
    return sum(sizes.values())


def load_module(
    folder: Path, config: PipelineConfig, name: str, device: torch.device, dtype: torch.dtype | None = None
) -> nn.Module:
    """One module by its name in `WEIGHTS`, in evaluation mode and without gradients, on the device.

    dtype: of its floating-point tensors; None as they are stored. Tensors go from the memory-mapped file
    straight to the device; on the CPU, those of the asked dtype stay mapped and take no memory of their own,
    though Windows wants room for them in its page file.
    Raises CheckpointError when a file is missing or damaged, or keys or shapes differ from the module's.
    """
    with without_weights():
        module = build_one(folder, config, name)
    file = weights_file(name)
    path = folder / getattr(config, f"{file}_ckpt_path")
    fill(module, WeightsFile(path, device), WEIGHTS[file][name], dtype)
    return module.eval().requires_grad_(False).to(device)


class WeightsFile:
    """A memory-mapped safetensors file whose tensors come on `device`.

    `shapes`: of every tensor in it by its key; `shared_keys`: of those that lie in `SHARED_FILE`, their keys
    there. Raises CheckpointError when it is missing or damaged.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu"):
        self.path, self._device = path, str(device)
        self._file = _open(path, self._device)
        self.shared_keys = _shared_keys(path, self._file)
        self._shared_file = _open(path.parent / SHARED_FILE, self._device) if self.shared_keys else None
        try:
            self.shapes = {key: tuple(self._file.get_slice(key).get_shape()) for key in self._file.keys()}
            for key, shared in self.shared_keys.items():
                self.shapes[key] = tuple(self._shared_file.get_slice(shared).get_shape())
        except SafetensorError as error:
            raise _damaged(path, error) from None

    def tensor(self, key: str, dtype: torch.dtype | None) -> Tensor:
        """A tensor; floating-point ones in dtype unless that is None. Those of `SHARED_FILE` are parameters,
        one and the same for all who ask."""
        if key not in self.shared_keys:
            return _cast(self._file.get_tensor(key), dtype)
        shared = self.shared_keys[key]
        known = (self.path.parent.resolve(), shared, self._device, dtype)
        parameter = _shared_parameters.get(known)
        if parameter is None:
            tensor = _cast(self._shared_file.get_tensor(shared), dtype)
            parameter = _shared_parameters[known] = nn.Parameter(tensor, requires_grad=False)
        return parameter


def fill(module: nn.Module, weights: WeightsFile, prefix: str, dtype: torch.dtype | None) -> None:
    """Put the tensors under the prefix in the module's place; keys and shapes must fit exactly."""
    own = {key.removeprefix(prefix): shape for key, shape in weights.shapes.items() if key.startswith(prefix)}
    check_fit(own, module, weights.path)
    module.load_state_dict({key: weights.tensor(prefix + key, dtype) for key in own}, assign=True)


def check_fit(shapes: Mapping[str, tuple[int, ...]], module: nn.Module, path: Path) -> None:
    """Raises CheckpointError unless these are exactly the keys and shapes of the module's state."""
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    wrong = {key for key in shapes.keys() | wanted.keys() if shapes.get(key) != wanted.get(key)}
    if wrong:
        raise CheckpointError(
            f"{path} does not fit its configuration ({len(wrong)} tensors differ, such as {min(wrong)}): "
            "use weights and yaml files of one model."
        )


def save(folder: Path, config: PipelineConfig, modules: Mapping[str, nn.Module], dtype: torch.dtype) -> None:
    """Write every weights file of a folder from its modules; floats in the given dtype."""
    for file, names in WEIGHTS.items():
        tensors = {
            prefix + key: _cast(value, dtype).contiguous()
            for name, prefix in names.items()
            for key, value in modules[name].state_dict().items()
        }
        path = folder / getattr(config, f"{file}_ckpt_path")
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        move(partial, path)


def _open(path: Path, device: str) -> safe_open:
    try:
        return safe_open(path, framework="pt", device=device)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: choose a folder that holds a complete model.") from None
    except (OSError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise _damaged(path, error) from None


def _shared_keys(path: Path, file: safe_open) -> dict[str, str]:
    try:
        return dict(json.loads((file.metadata() or {}).get(SHARED_KEYS, "{}")))
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is not a complete weights file ({error}): fetch the model again.")


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)
