"""The SAM 3D tab in the Image Editor and in the 3D View, and the preferences. Draws state, changes none."""

import textwrap

import bpy

from . import actions, installation, session
from .core.state import progress_text
from .worker import environment

CATEGORY = "SAM 3D"


class SAM3D_UL_prompts(bpy.types.UIList):
    """The objects of a photo: colour, name, state, whether the mask shows."""

    def draw_item(
        self, context, layout, data, item, icon, active_data, active_property, index=0, filter_flag=0
    ):
        row = layout.row(align=True)
        swatch = row.row()
        swatch.ui_units_x = 0.8
        swatch.prop(item, "color", text="")
        row.prop(item, "name", text="", emboss=False)
        row.label(text="", icon=_state_icon(item))
        row.prop(item, "show_mask", text="", emboss=False, icon="HIDE_OFF" if item.show_mask else "HIDE_ON")


def _state_icon(prompt) -> str:
    if prompt.message:
        return "ERROR"
    if not prompt.is_current:
        return "SORTTIME"
    return "CHECKMARK" if prompt.mask else "RADIOBUT_OFF"


class PhotoPanel:
    bl_label = "Photo"
    bl_region_type = "UI"
    bl_category = CATEGORY

    def draw(self, context):
        layout = self.layout
        settings = context.scene.sam3d
        if session.python() is None or installation.is_under_way():
            draw_installation(layout)
            layout.separator()
        layout.template_ID(settings, "photo", open="sam3d.load_photo")
        if settings.photo is None:
            layout.label(text="Load a photo, then click its objects", icon="INFO")
            return
        draw_objects(layout, settings.photo.sam3d)
        if context.area and context.area.type == "IMAGE_EDITOR":
            layout.operator("sam3d.click", icon="RESTRICT_SELECT_OFF")
        layout.operator("sam3d.add_mask", text="Add Mask from File", icon="IMAGE_ALPHA")
        draw_active(layout, settings.photo.sam3d.active)


def draw_objects(layout, photo) -> None:
    """The list of objects. photo: `Image.sam3d`."""
    row = layout.row()
    row.template_list("SAM3D_UL_prompts", "", photo, "prompts", photo, "active_index", rows=4)
    side = row.column(align=True)
    side.operator("sam3d.add_object", text="", icon="ADD")
    side.operator("sam3d.remove_object", text="", icon="REMOVE")


def draw_active(layout, prompt) -> None:
    """What the active object's mask is made of, and why there is none."""
    if prompt is None:
        return
    row = layout.row()
    row.label(text="Given mask" if prompt.is_given else f"Clicks: {len(prompt.clicks)}")
    if prompt.clicks:
        row.operator("sam3d.remove_click", text="", icon="LOOP_BACK")
    draw_sentence(layout, prompt.message)


class ReconstructPanel:
    bl_label = "Reconstruct"
    bl_region_type = "UI"
    bl_category = CATEGORY

    @classmethod
    def poll(cls, context):
        return context.scene.sam3d.photo is not None

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.sam3d
        column = layout.column()
        column.enabled = not actions.is_reconstructing()
        column.prop(settings, "seed")
        column.prop(settings, "refine_layout")
        if actions.is_reconstructing():
            draw_progress(layout, actions.reconstruction.job)
        else:
            row = layout.row()
            row.scale_y = 1.5
            row.operator("sam3d.reconstruct", icon="MESH_MONKEY")
            if actions.reconstruction:
                draw_sentence(layout, actions.reconstruction.job.error)
        layout.operator("sam3d.view_through_camera", icon="VIEW_CAMERA")


def draw_progress(layout, job) -> None:
    """Stage, time and bar of a job, with the way out."""
    layout.progress(factor=job.fraction, text=progress_text(job.message, job.elapsed))
    layout.operator("sam3d.cancel", icon="X")


def draw_sentence(layout, sentence: str, width: int = 36) -> None:
    """A sentence, broken into lines of about that many letters."""
    column = layout.column(align=True)
    for line in textwrap.wrap(sentence, width):
        column.label(text=line)


def draw_installation(layout, width: int = 36) -> None:
    """How the worker's Python environment is, and the button that makes it."""
    task = installation.task
    if installation.is_under_way():
        layout.progress(factor=task.fraction, text=progress_text(task.message, task.elapsed))
        layout.operator("sam3d.cancel_installation", icon="X")
        return
    state = environment.check()
    draw_sentence(layout, state.reason, width)
    if task:
        draw_sentence(layout, task.error or task.message, width)
    is_there = state.condition != environment.Condition.MISSING
    layout.operator(
        "sam3d.install_environment", text="Install Again" if is_there else "Install", icon="IMPORT"
    )


def draw_preferences(layout, preferences) -> None:
    """Environment, own Python, model: the add-on's preferences."""
    draw_installation(layout, width=90)
    layout.separator()
    row = layout.row(align=True)
    row.prop(preferences, "python")
    row.operator("sam3d.use_python", text="", icon="FILEBROWSER")
    layout.prop(preferences, "checkpoint")


class SAM3D_PT_image_photo(PhotoPanel, bpy.types.Panel):
    bl_space_type = "IMAGE_EDITOR"


class SAM3D_PT_image_reconstruct(ReconstructPanel, bpy.types.Panel):
    bl_space_type = "IMAGE_EDITOR"


class SAM3D_PT_view_photo(PhotoPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


class SAM3D_PT_view_reconstruct(ReconstructPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


CLASSES = (
    SAM3D_UL_prompts,
    SAM3D_PT_image_photo,
    SAM3D_PT_image_reconstruct,
    SAM3D_PT_view_photo,
    SAM3D_PT_view_reconstruct,
)
