"""The photo and its objects in the SAM 3D tab: list, marking, masks. Draws state, changes none."""

import bpy

from .. import installation, session
from ..scene import photo as photos
from . import pointer, thumbnails
from .panels import CATEGORY, draw_installation, draw_sentence


class SAM3D_UL_prompts(bpy.types.UIList):
    """The objects of a photo: picture, number, colour, name, state or share of the photo, visibility."""

    def draw_item(
        self, context, layout, data, item, icon, active_data, active_property, index=0, filter_flag=0
    ):
        shape = data.shapes().get(item.uuid)
        row = layout.row(align=True)
        if shape and not photos.trouble(data.id_data):
            row.label(text="", icon_value=thumbnails.icon(data.id_data, item.uuid, shape))
        else:
            row.label(text="", icon="BLANK1")
        swatch = row.row()
        swatch.ui_units_x = 0.5
        swatch.prop(item, "color", text="")
        number = row.row()
        number.ui_units_x = 0.7 if len(data.prompts) < 10 else 1.1
        number.label(text=str(index + 1))
        row.prop(item, "name", text="", emboss=False)
        state = row.row()
        state.alignment = "RIGHT"
        state.label(**_state(item, shape))
        row.prop(item, "show_mask", text="", emboss=False, icon="HIDE_OFF" if item.show_mask else "HIDE_ON")


def _state(prompt, shape) -> dict[str, str]:
    if prompt.message:
        return {"text": "", "icon": "ERROR"}
    if prompt.is_proposal:
        return {"text": "", "icon": "QUESTION"}
    if not prompt.is_current:
        return {"text": "", "icon": "SORTTIME"}
    if shape is None:
        return {"text": "", "icon": "RADIOBUT_OFF"}
    return {"text": share_of(shape), "icon": "INFO" if shape.warning else "NONE"}


def share_of(shape) -> str:
    """How much of the photo an object covers."""
    percent = 100 * shape.area / shape.mask.size
    return f"{percent:.1f} %" if percent >= 0.1 else "< 0.1 %"


class SAM3D_MT_masks(bpy.types.Menu):
    """Load and save masks"""

    bl_label = "Masks"

    def draw(self, context):
        layout = self.layout
        layout.operator("sam3d.add_mask", text="Add Mask from File…", icon="IMAGE_ALPHA")
        layout.operator("sam3d.add_masks", text="Add Masks from Folder…", icon="FILE_FOLDER")
        layout.operator("sam3d.add_index_masks", text="Add Masks from Index Image…", icon="IMAGE_DATA")
        layout.menu("SAM3D_MT_painted_masks", icon="TPAINT_HLT")
        layout.separator()
        layout.operator("sam3d.save_masks", text="Save Masks to Folder…", icon="EXPORT")
        layout.separator()
        layout.prop(context.scene.sam3d.photo.sam3d, "smaller_wins")


class SAM3D_MT_painted_masks(bpy.types.Menu):
    """Add an object by an image of this file, such as one painted in the Image Editor"""

    bl_label = "Add Mask from Blender Image"

    def draw(self, context):
        photo = context.scene.sam3d.photo
        fitting = [image for image in bpy.data.images if image != photo and image.size[:] == photo.size[:]]
        self.layout.operator_context = "EXEC_DEFAULT"
        for image in fitting:
            self.layout.operator("sam3d.add_mask", text=image.name, icon="IMAGE_DATA").image = image.name
        if not fitting:
            self.layout.label(text=f"No other image is {photo.size[0]} × {photo.size[1]} pixels")


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
            draw_sentence(layout, "Load a photo, then mark its objects in the Image Editor", icon="INFO")
            return
        draw_trouble(layout, settings.photo)
        draw_objects(layout, settings.photo.sam3d)
        if context.area and context.area.type == "IMAGE_EDITOR":
            draw_marking(layout, context.window_manager.sam3d)
        draw_active(layout, settings.photo.sam3d)


def draw_trouble(layout, photo) -> None:
    """That the photo cannot be shown, or its file is another than the one that is shown, and the way on."""
    sentence = photos.trouble(photo)
    if not sentence and photos.is_changed(photo):
        sentence = "The photo has changed on disk since it was loaded."
    if not sentence:
        return
    draw_sentence(layout, sentence, icon="ERROR")
    layout.operator_context = "EXEC_DEFAULT"
    again = layout.operator("sam3d.load_photo", text="Load It Again", icon="FILE_REFRESH")
    again.filepath = bpy.path.abspath(photo.filepath, library=photo.library)
    layout.operator_context = "INVOKE_DEFAULT"


def draw_objects(layout, photo) -> None:
    """The list of objects. photo: `Image.sam3d`."""
    row = layout.row()
    row.template_list("SAM3D_UL_prompts", "", photo, "prompts", photo, "active_index", rows=5)
    side = row.column(align=True)
    side.operator("sam3d.add_object", text="", icon="ADD")
    side.operator("sam3d.remove_object", text="", icon="REMOVE")
    side.separator()
    side.menu("SAM3D_MT_masks", text="", icon="DOWNARROW_HLT")


def draw_marking(layout, settings) -> None:
    """The tool that marks objects, and what it does."""
    column = layout.column(align=True)
    column.operator("sam3d.click", icon="RESTRICT_SELECT_OFF", depress=pointer.pointer is not None)
    for pair in (("ADD", "EXCLUDE"), ("BRUSH", "ERASE")):
        row = column.row(align=True)
        for marking in pair:
            row.prop_enum(settings, "marking", marking)
    if settings.marking in {"BRUSH", "ERASE"}:
        column.prop(settings, "brush_radius")


def draw_active(layout, photo) -> None:
    """What the active object's mask is made of, and what is to be known about it."""
    prompt = photo.active
    if prompt is None:
        return
    column = layout.column(align=True)
    if prompt.is_given:
        column.label(text="Mask from an image")
    if prompt.clicks:
        row = column.row()
        row.label(text=f"Clicks: {len(prompt.clicks)}")
        row.operator("sam3d.remove_click", text="", icon="LOOP_BACK", emboss=False)
    if prompt.drawn_box:
        row = column.row()
        row.label(text="Box")
        row.operator("sam3d.remove_box", text="", icon="X", emboss=False)
    if prompt.is_brushed:
        row = column.row()
        row.label(text="Brush strokes")
        row.operator("sam3d.clear_brush", text="", icon="X", emboss=False)
    shape = photo.shapes().get(prompt.uuid)
    if shape:
        column.label(text=f"{shape.area:,} pixels".replace(",", " "))
        if shape.given_away:
            column.label(text=f"{shape.given_away:,} pixels given to smaller objects".replace(",", " "))
    if prompt.message:
        draw_sentence(layout, prompt.message, icon="ERROR")
    elif shape and shape.warning:
        draw_sentence(layout, shape.warning, icon="INFO")


class SAM3D_PT_image_photo(PhotoPanel, bpy.types.Panel):
    bl_space_type = "IMAGE_EDITOR"


class SAM3D_PT_view_photo(PhotoPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


CLASSES = (
    SAM3D_UL_prompts,
    SAM3D_MT_painted_masks,
    SAM3D_MT_masks,
    SAM3D_PT_image_photo,
    SAM3D_PT_view_photo,
)
