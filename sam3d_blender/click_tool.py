"""The tool for clicking on objects in the Image Editor."""

import bpy

from . import actions, marking
from .core.errors import ArtistError
from .operators import NeedsPhoto
from .scene import photo as photos


class SAM3D_OT_click(NeedsPhoto, bpy.types.Operator):
    """Click on objects in the photo; Alt-click excludes what is not part of them"""

    bl_idname = "sam3d.click"
    bl_label = "Click Objects"

    HINT = "Click: on it   Alt Click: beside it   Backspace: take back   Tab: next object   Enter: done"

    @classmethod
    def poll(cls, context):
        if not context.area or context.area.type != "IMAGE_EDITOR":
            cls.poll_message_set("Click in the Image Editor")
            return False
        return super().poll(context)

    def invoke(self, context, event):
        context.space_data.image = context.scene.sam3d.photo
        self._area = context.area
        context.window_manager.modal_handler_add(self)
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set(self.HINT)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        photo = context.scene.sam3d.photo
        if photo is None or self._area not in context.screen.areas[:] or self._area.type != "IMAGE_EDITOR":
            return self._end(context)
        region = self._region_under(event)
        if event.value != "PRESS" or region is None or region.type != "WINDOW":
            return {"PASS_THROUGH"}
        if event.type in {"RET", "NUMPAD_ENTER", "ESC"}:
            return self._end(context)
        if event.type == "LEFTMOUSE":
            u, v = region.view2d.region_to_view(event.mouse_x - region.x, event.mouse_y - region.y)
            height, width = photos.size(photo)
            x, y, positive = u * width, (1 - v) * height, not event.alt
            self._do("Add Click", lambda: marking.add_click(x, y, positive, wait=False))
        elif event.type == "BACK_SPACE":
            self._do("Remove Click", lambda: marking.remove_click(wait=False))
        elif event.type == "TAB":
            self._do("Add Object", actions.add_object)
        else:
            return {"PASS_THROUGH"}
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context):
        self._end(context)

    def _do(self, message, action):
        try:
            action()
        except ArtistError as error:
            self.report({"ERROR"}, str(error))
        else:
            bpy.ops.ed.undo_push(message=message)

    def _region_under(self, event):
        """The region of our editor under the mouse; the sidebar may lie on top of the photo."""
        regions = [
            region
            for region in self._area.regions
            if 0 <= event.mouse_x - region.x < region.width and 0 <= event.mouse_y - region.y < region.height
        ]
        return next(
            (region for region in regions if region.type != "WINDOW"), regions[0] if regions else None
        )

    def _end(self, context):
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        return {"FINISHED"}
