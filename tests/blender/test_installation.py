"""The zip as Blender sees it: it installs, registers, and leaves nothing behind."""

import bpy
import pytest

from tools import extension

OPERATORS = ("load_photo", "add_click", "add_mask", "reconstruct", "cancel")


def test_the_installed_zip_runs_and_not_the_checkout(installed):
    resources = bpy.utils.user_resource("EXTENSIONS")
    assert installed.__file__.startswith(resources)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_is_there(sam3d, name):
    assert getattr(bpy.ops.sam3d, name).get_rna_type().name


def test_disabling_removes_everything_and_enabling_brings_it_back(sam3d):
    timer = sam3d("session")._tick
    for _ in range(2):
        extension.disable()
        assert not hasattr(bpy.types.Scene, "sam3d")
        assert not hasattr(bpy.types, "SAM3D_OT_reconstruct")
        assert not bpy.app.timers.is_registered(timer)
        bpy.ops.preferences.addon_enable(module=extension.MODULE)
        assert bpy.context.scene.sam3d.photo is None


def test_no_torch_in_blender(sam3d):
    import sys

    assert "torch" not in sys.modules
