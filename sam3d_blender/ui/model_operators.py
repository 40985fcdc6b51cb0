"""Operators that get models and remove them."""

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from .. import library
from .model_panel import draw_weights
from .operators import Action, run_task


def model_name() -> StringProperty:
    return StringProperty(
        name="Model", description="Name of the model; empty for the chosen one", options={"SKIP_SAVE"}
    )


class SAM3D_OT_download_model(bpy.types.Operator):
    """Download a model from Hugging Face and convert it, after its licences were shown"""

    bl_idname = "sam3d.download_model"
    bl_label = "Download Model"

    model: model_name()

    def invoke(self, context, event):
        if not bpy.app.online_access and not bpy.app.online_access_override:
            return bpy.ops.extensions.userpref_allow_online_popup("INVOKE_DEFAULT")
        return context.window_manager.invoke_props_dialog(self, width=520, confirm_text="Download")

    def draw(self, context):
        draw_weights(self.layout, library.release(self.model))

    def execute(self, context):
        return run_task(self, lambda: library.download(self.model))


class SAM3D_OT_convert_model(bpy.types.Operator):
    """Convert a folder of released files into a model; the folder stays as it is"""

    bl_idname = "sam3d.convert_model"
    bl_label = "Convert"

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    model: StringProperty(
        name="Model", description="Name of the model; empty for the first to be had", options={"SKIP_SAVE"}
    )

    def invoke(self, context, event):
        if self.directory:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        return run_task(self, lambda: library.convert(bpy.path.abspath(self.directory), self.model))


class SAM3D_OT_remove_model(Action, bpy.types.Operator):
    """Delete a model from this disk; it can be downloaded again"""

    bl_idname = "sam3d.remove_model"
    bl_label = "Remove Model"
    bl_options: ClassVar[set[str]] = set()  # undo brings no files back

    model: model_name()

    def invoke(self, context, event):
        return context.window_manager.invoke_confirm(self, event)

    def act(self, context):
        library.remove(self.model)


class SAM3D_OT_cancel_model(bpy.types.Operator):
    """Stop the download or conversion; what has been fetched is kept for the next one"""

    bl_idname = "sam3d.cancel_model"
    bl_label = "Cancel"

    def execute(self, context):
        library.cancel()
        return {"FINISHED"}


CLASSES = (
    SAM3D_OT_download_model,
    SAM3D_OT_convert_model,
    SAM3D_OT_remove_model,
    SAM3D_OT_cancel_model,
)
