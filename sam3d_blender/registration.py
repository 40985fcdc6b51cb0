"""All classes, handlers and draw callbacks, made known to Blender and taken back."""

import bpy

from . import handlers, properties
from .ui import (
    click_tool,
    finding_panel,
    mask_operators,
    model_operators,
    operators,
    overlay,
    panels,
    photo_panel,
    preferences,
    thumbnails,
)

CLASSES = (
    *properties.CLASSES,
    preferences.SAM3D_preferences,
    *operators.CLASSES,
    *mask_operators.CLASSES,
    *model_operators.CLASSES,
    click_tool.SAM3D_OT_click,
    *photo_panel.CLASSES,
    *finding_panel.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for (owner, name), pointer in properties.POINTERS.items():
        setattr(owner, name, pointer)
    handlers.register()
    thumbnails.register()
    overlay.register()


def unregister() -> None:
    click_tool.unregister()
    operators.unregister()
    overlay.unregister()
    thumbnails.unregister()
    handlers.unregister()
    for owner, name in properties.POINTERS:
        delattr(owner, name)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
