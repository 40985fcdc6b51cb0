"""Blender's side of the worker: its process, its jobs, its Python environment. No bpy in here.

This is the only place where Blender's room imports from the model's room, and all it takes is the
protocol.
"""

from pathlib import Path

try:
    from ...vendor_model import protocol  # inside the installed extension
except ImportError:
    from vendor_model import protocol  # from a checkout

PACKAGE_ROOT = Path(protocol.__file__).resolve().parent.parent
"""The folder that holds `vendor_model`, where the worker's Python finds it."""

__all__ = ["PACKAGE_ROOT", "protocol"]
