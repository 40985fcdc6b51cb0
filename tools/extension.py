"""The built extension inside a Blender that runs this code."""

import importlib
import os
from types import ModuleType

import bpy

REPOSITORY = "user_default"
MODULE = f"bl_ext.{REPOSITORY}.sam3d_blender"


def install() -> ModuleType:
    """Install the zip as an artist would, enable it, and return its package `sam3d_blender`.

    build_addon.py names the zip in SAM3D_EXTENSION, and in SAM3D_PYTHON the Python of the worker.
    """
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["SAM3D_EXTENSION"], repo=REPOSITORY, enable_on_install=True, overwrite=True
    )
    return importlib.import_module(f"{MODULE}.sam3d_blender")


def disable() -> None:
    """Disable it: the worker and every timer end."""
    bpy.ops.preferences.addon_disable(module=MODULE)
