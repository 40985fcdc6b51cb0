"""The add-on's page in Edit › Preferences."""

import bpy

from ..properties import ADDON_ID, Preferences
from .model_panel import draw_model
from .panels import draw_environment
from .segmenter_panel import draw_segmenter


class SAM3D_preferences(Preferences, bpy.types.AddonPreferences):
    bl_idname = ADDON_ID

    def draw(self, context):
        draw_environment(self.layout, self)
        self.layout.separator()
        draw_model(self.layout, self)
        self.layout.separator()
        draw_segmenter(self.layout, self)
