"""The panel that proposes objects, and its operators."""

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import finding
from .operators import Action, NeedsPhoto, RunsJob, object_name
from .panels import CATEGORY, draw_progress, draw_sentence


class SAM3D_OT_find_objects(NeedsPhoto, RunsJob, bpy.types.Operator):
    """Propose a mask for every object of the photo; with a text, for every one that it names (SAM 3 only)"""

    bl_idname = "sam3d.find_objects"
    bl_label = "Find Objects"

    text: StringProperty(name="Text", description="What to look for, such as “chair”; empty for every object")

    def act(self, context):
        finding.find_objects(self.text)

    def start(self):
        return finding.start_finding(self.text)

    def finish(self):
        finding.finish_finding()


def every_proposal() -> BoolProperty:
    return BoolProperty(name="All", description="Every proposal, not one alone", options={"SKIP_SAVE"})


class SAM3D_OT_keep_proposals(NeedsPhoto, Action, bpy.types.Operator):
    """Make a proposed object one of the photo's objects"""

    bl_idname = "sam3d.keep_proposals"
    bl_label = "Keep"

    object: object_name()
    every: every_proposal()

    def act(self, context):
        finding.keep_proposals(self.object or None, self.every)


class SAM3D_OT_drop_proposals(NeedsPhoto, Action, bpy.types.Operator):
    """Take a proposed object out of the list"""

    bl_idname = "sam3d.drop_proposals"
    bl_label = "Drop"

    object: object_name()
    every: every_proposal()

    def act(self, context):
        finding.drop_proposals(self.object or None, self.every)


class SAM3D_OT_cancel_finding(bpy.types.Operator):
    """Stop looking for objects; the list stays as it is"""

    bl_idname = "sam3d.cancel_finding"
    bl_label = "Cancel"

    def execute(self, context):
        finding.cancel()
        return {"FINISHED"}


class FindPanel:
    bl_label = "Find Objects"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012  (Blender wants a plain set here)

    @classmethod
    def poll(cls, context):
        return context.scene.sam3d.photo is not None

    def draw(self, context):
        layout = self.layout
        settings = context.scene.sam3d
        if finding.is_finding():
            draw_progress(layout, finding.search.job, "sam3d.cancel_finding")
            return
        row = layout.row(align=True)
        row.prop(settings, "find_text", text="", icon="VIEWZOOM")
        row.operator("sam3d.find_objects", text="Find").text = settings.find_text
        if finding.search:
            draw_sentence(layout, finding.search.job.error, icon="ERROR")
        draw_proposals(layout, settings.photo.sam3d)


def draw_proposals(layout, photo) -> None:
    """How many proposals there are, and buttons to keep or drop one or all. photo: `Image.sam3d`."""
    count = sum(prompt.is_proposal for prompt in photo.prompts)
    if not count:
        return
    layout.label(text=f"{count} proposed" if count > 1 else "1 proposed")
    if photo.active and photo.active.is_proposal:
        row = layout.row(align=True)
        row.operator("sam3d.keep_proposals", icon="CHECKMARK")
        row.operator("sam3d.drop_proposals", icon="X")
    row = layout.row(align=True)
    row.operator("sam3d.keep_proposals", text="Keep All").every = True
    row.operator("sam3d.drop_proposals", text="Drop All").every = True


class SAM3D_PT_image_find(FindPanel, bpy.types.Panel):
    bl_space_type = "IMAGE_EDITOR"
    bl_parent_id = "SAM3D_PT_image_photo"


class SAM3D_PT_view_find(FindPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_parent_id = "SAM3D_PT_view_photo"


CLASSES = (
    SAM3D_OT_find_objects,
    SAM3D_OT_keep_proposals,
    SAM3D_OT_drop_proposals,
    SAM3D_OT_cancel_finding,
    SAM3D_PT_image_find,
    SAM3D_PT_view_find,
)
