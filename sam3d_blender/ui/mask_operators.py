"""Operators that mark objects in the photo and read and write masks; each calls one function."""

import bpy
from bpy.props import (
    BoolProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from .. import marking, mask_files
from ..core.errors import ArtistError
from .operators import Action, NeedsPhoto, PicksFile, object_name

FROM_TOP_LEFT = "in pixels from the photo's top left corner"


class SAM3D_OT_add_click(NeedsPhoto, Action, bpy.types.Operator):
    """Click on an object, in pixels from the photo's top left corner"""

    bl_idname = "sam3d.add_click"
    bl_label = "Add Click"

    x: FloatProperty(name="X", description=f"To the right, {FROM_TOP_LEFT}")
    y: FloatProperty(name="Y", description=f"Down, {FROM_TOP_LEFT}")
    positive: BoolProperty(
        name="On the Object", default=True, description="Off: what is clicked is not part of the object"
    )
    object: object_name()

    def act(self, context):
        marking.add_click(self.x, self.y, self.positive, self.object or None, wait=bpy.app.background)


class SAM3D_OT_remove_click(NeedsPhoto, Action, bpy.types.Operator):
    """Take back a click, by default the last one"""

    bl_idname = "sam3d.remove_click"
    bl_label = "Remove Click"

    index: IntProperty(name="Index", default=-1, description="Of the click, from 0; -1 for the last one")
    object: object_name()

    def act(self, context):
        marking.remove_click(self.index, self.object or None, wait=bpy.app.background)


class SAM3D_OT_set_box(NeedsPhoto, Action, bpy.types.Operator):
    """Draw a box around an object, in pixels from the photo's top left corner"""

    bl_idname = "sam3d.set_box"
    bl_label = "Set Box"

    box: FloatVectorProperty(name="Box", size=4, description=f"Left, top, right and bottom, {FROM_TOP_LEFT}")
    object: object_name()

    def act(self, context):
        marking.set_box(tuple(self.box), self.object or None, wait=bpy.app.background)


class SAM3D_OT_remove_box(NeedsPhoto, Action, bpy.types.Operator):
    """Take the box around an object away"""

    bl_idname = "sam3d.remove_box"
    bl_label = "Remove Box"

    object: object_name()

    def act(self, context):
        marking.remove_box(self.object or None, wait=bpy.app.background)


class SAM3D_OT_brush(NeedsPhoto, Action, bpy.types.Operator):
    """Paint a stroke into the mask of an object, or out of it"""

    bl_idname = "sam3d.brush"
    bl_label = "Brush Mask"

    stroke: StringProperty(
        name="Stroke",
        description=f'Places along the stroke, "x,y x,y x,y", {FROM_TOP_LEFT}',
        options={"SKIP_SAVE"},
    )
    radius: FloatProperty(name="Radius", default=10, min=0, description="In pixels of the photo")
    erase: BoolProperty(name="Erase", description="Paint out of the mask")
    object: object_name()

    def act(self, context):
        marking.brush_mask(_places(self.stroke), self.radius, self.erase, self.object or None)


def _places(stroke: str) -> list[tuple[float, float]]:
    try:
        places = [(float(x), float(y)) for x, y in (place.split(",") for place in stroke.split())]
    except ValueError:
        places = []
    if not places:
        raise ArtistError(f"“{stroke}” is not a stroke; give its places as “x,y x,y x,y”.")
    return places


class SAM3D_OT_clear_brush(NeedsPhoto, Action, bpy.types.Operator):
    """Take all strokes of the brush out of the mask of an object"""

    bl_idname = "sam3d.clear_brush"
    bl_label = "Clear Brush"

    object: object_name()

    def act(self, context):
        marking.clear_brush(self.object or None)


class SAM3D_OT_add_mask(NeedsPhoto, PicksFile, Action, bpy.types.Operator):
    """Add an object by its mask: an image of the photo's size, white on black or opaque on transparent"""

    bl_idname = "sam3d.add_mask"
    bl_label = "Add Mask"

    image: StringProperty(
        name="Image",
        description="A Blender image to use instead of a file, as it is painted now",
        options={"SKIP_SAVE"},
    )
    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    def act(self, context):
        source = self.filepath
        if self.image:
            source = bpy.data.images.get(self.image)
            if source is None:
                raise ArtistError(f"There is no image “{self.image}” in this file; name one that is.")
        mask_files.add_mask(source, self.name)


class SAM3D_OT_add_index_masks(NeedsPhoto, PicksFile, Action, bpy.types.Operator):
    """Add an object for each colour of an index image; black is background"""

    bl_idname = "sam3d.add_index_masks"
    bl_label = "Add Masks from Index Image"

    def act(self, context):
        mask_files.add_index_masks(self.filepath)


class PicksFolder:
    """Ask for a folder when started from the interface."""

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class SAM3D_OT_add_masks(NeedsPhoto, PicksFolder, Action, bpy.types.Operator):
    """Add an object for each mask in a folder of image files"""

    bl_idname = "sam3d.add_masks"
    bl_label = "Add Masks from Folder"

    def act(self, context):
        mask_files.add_masks(self.directory)


class SAM3D_OT_save_masks(NeedsPhoto, PicksFolder, Action, bpy.types.Operator):
    """Write the mask of every object into a folder, one PNG each, named after the object"""

    bl_idname = "sam3d.save_masks"
    bl_label = "Save Masks"

    overwrite: BoolProperty(
        name="Overwrite", description="Replace masks that were saved before", options={"SKIP_SAVE"}
    )

    def act(self, context):
        paths = mask_files.save_masks(self.directory, self.overwrite)
        self.report({"INFO"}, f"Saved {len(paths)} masks")


CLASSES = (
    SAM3D_OT_add_click,
    SAM3D_OT_remove_click,
    SAM3D_OT_set_box,
    SAM3D_OT_remove_box,
    SAM3D_OT_brush,
    SAM3D_OT_clear_brush,
    SAM3D_OT_add_mask,
    SAM3D_OT_add_index_masks,
    SAM3D_OT_add_masks,
    SAM3D_OT_save_masks,
)
