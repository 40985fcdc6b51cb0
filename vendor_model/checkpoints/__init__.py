"""Model folders: yaml files that say what to build, safetensors that fill it (see docs/architecture.md)."""

from vendor_model.checkpoints.files import load, load_module, save, size
from vendor_model.checkpoints.modules import WEIGHTS, build, build_one

__all__ = ["WEIGHTS", "build", "build_one", "load", "load_module", "save", "size"]
