"""The tool that marks objects in the Image Editor: clicks, boxes, the brush."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import bpy
import numpy as np

from .. import actions, marking
from ..core import brush
from ..core.errors import ArtistError
from ..scene import photo as photos
from . import pointer
from .operators import NeedsPhoto
from .pointer import Pointer
from .screen import Screen, click_under, handle_under, is_on_box

OPPOSITE = {"ADD": "EXCLUDE", "EXCLUDE": "ADD", "BRUSH": "ERASE", "ERASE": "BRUSH"}
OTHER_HAND = {"ADD": "BRUSH", "BRUSH": "ADD", "EXCLUDE": "ERASE", "ERASE": "EXCLUDE"}
"""From clicks to the brush and back."""

BRUSHES = {"BRUSH", "ERASE"}
RADIUS_STEP = 1.2
CLICK_HINTS = (
    ("MOUSE_LMB", "Include"),
    ("MOUSE_LMB_DRAG", "Box"),
    ("EVENT_ALT", "Exclude"),
    ("EVENT_X", "Remove Under Mouse"),
    ("EVENT_TAB", "Next Object"),
    ("EVENT_B", "Brush"),
    ("EVENT_RETURN", "Done"),
)
BRUSH_HINTS = (
    ("MOUSE_LMB_DRAG", "Paint"),
    ("EVENT_ALT", "Opposite"),
    ("EVENT_CTRL", "Wheel or [ ]: Radius"),
    ("EVENT_TAB", "Next Object"),
    ("EVENT_B", "Clicks"),
    ("EVENT_RETURN", "Done"),
)


class SAM3D_OT_click(NeedsPhoto, bpy.types.Operator):
    """Mark objects in the photo: click on them, drag boxes, paint with the brush; press again to end"""

    bl_idname = "sam3d.click"
    bl_label = "Mark Objects"

    @classmethod
    def poll(cls, context):
        if not context.area or context.area.type != "IMAGE_EDITOR":
            cls.poll_message_set("Mark objects in the Image Editor")
            return False
        return super().poll(context)

    def invoke(self, context, event):
        if pointer.pointer:
            pointer.pointer = None  # the running tool ends itself
            return {"FINISHED"}
        context.space_data.image = context.scene.sam3d.photo
        self._area = context.area
        self._region = next(region for region in context.area.regions if region.type == "WINDOW")
        self._held = pointer.pointer = Pointer()
        self._drag = None
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(_draw_hints)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if not self._is_alive(context):
            return self._end(context)
        screen = Screen(context, self._region)
        mouse = event.mouse_x - self._region.x, event.mouse_y - self._region.y
        if self._drag:
            return self._go_on(context, event, screen, mouse)
        if not self._is_over_photo_editor(event):
            context.window.cursor_modal_restore()
            self._hover(context, screen, None)
            return {"PASS_THROUGH"}
        context.window.cursor_modal_set("CROSSHAIR")
        if event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}:
            self._hover(context, screen, mouse)
        if event.value != "PRESS":
            return {"PASS_THROUGH"}
        if event.type in {"RET", "NUMPAD_ENTER", "ESC"}:
            return self._end(context)
        if event.type == "LEFTMOUSE":
            self._press(context, event, screen, mouse)
        elif not self._press_key(context, event):
            return {"PASS_THROUGH"}
        self._hover(context, screen, mouse)
        self._area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context):
        self._end(context)

    # What the mouse does

    def _press(self, context, event, screen: Screen, mouse) -> None:
        marks = context.window_manager.sam3d.marking
        kind = OPPOSITE[marks] if event.alt else marks
        other = handle_under(context.scene.sam3d.photo.sam3d, screen, mouse)
        if other is not None:
            context.scene.sam3d.photo.sam3d.active_index = other
            bpy.ops.ed.undo_push(message="Choose Object")
            return
        place = screen.photo_place(*mouse)
        self._drag = SimpleNamespace(kind=kind, mouse=mouse, place=place, points=[place], begun=[])
        if kind in BRUSHES:
            self._begin_stroke(context, screen)

    def _begin_stroke(self, context, screen: Screen) -> None:
        prompts = context.scene.sam3d.photo.sam3d
        prompt = prompts.active
        if prompt is None:
            prompt = prompts.new_prompt()
            self._drag.begun = [prompt.uuid]
        height, width = photos.size(context.scene.sam3d.photo)
        shape = prompts.shapes().get(prompt.uuid)
        self._drag.radius = _brush_radius(context, screen)
        self._held.stroke = (
            prompt.uuid,
            np.zeros((height, width), bool) if shape is None else shape.whole.copy(),
        )
        self._paint(self._drag.points)

    def _paint(self, points) -> None:
        brush.paint(self._held.stroke[1], points, self._drag.radius, self._drag.kind == "BRUSH")
        self._held.strokes += 1

    def _go_on(self, context, event, screen: Screen, mouse) -> set[str]:
        """While the left button is down."""
        drag = self._drag
        place = screen.photo_place(*mouse)
        if event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}:
            if drag.kind in BRUSHES:
                drag.points.append(place)
                self._paint(drag.points[-2:])
            elif drag.kind == "ADD" and (self._held.box or _is_dragged(context, event, drag.mouse, mouse)):
                self._held.box = (*drag.place, *place)
            self._held.place = place
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._finish_drag(context)
        elif event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            self._drop(context)
        self._region.tag_redraw()
        return {"RUNNING_MODAL"}

    def _finish_drag(self, context) -> None:
        drag, box = self._drag, self._held.box
        self._drop(context)
        if drag.kind in BRUSHES:
            erase = drag.kind == "ERASE"
            self._do(
                "Erase Mask" if erase else "Brush Mask", marking.brush_mask, drag.points, drag.radius, erase
            )
        elif box:
            self._do("Set Box", marking.set_box, box, wait=False)
        else:
            self._do("Add Click", marking.add_click, *drag.place, drag.kind == "ADD", wait=False)
        self._area.tag_redraw()

    def _drop(self, context) -> None:
        """Forget what is being drawn, with the object that was begun to show it."""
        if self._drag.begun:
            context.scene.sam3d.photo.sam3d.remove_prompts(self._drag.begun)
        self._drag = self._held.stroke = self._held.box = None

    def _hover(self, context, screen: Screen, mouse) -> None:
        """Note what is under the mouse, and show it if that is news."""
        held = self._held
        before = held.place, held.hovered, held.hovers_box
        had_brush = bool(held.brush)
        prompt = context.scene.sam3d.photo.sam3d.active
        is_brush = context.window_manager.sam3d.marking in BRUSHES
        held.place = screen.photo_place(*mouse) if mouse else None
        held.brush = _brush_radius(context, screen) if is_brush else 0.0
        held.hovered, held.hovers_box = None, False
        if prompt and mouse and not is_brush:
            held.hovered = click_under(prompt, screen, mouse)
            held.hovers_box = held.hovered is None and is_on_box(prompt.drawn_box, screen, mouse)
        now = held.place, held.hovered, held.hovers_box
        if now[1:] != before[1:] or (is_brush and now != before) or is_brush != had_brush:
            self._region.tag_redraw()
        if is_brush != had_brush:
            context.workspace.status_text_set(_draw_hints)

    # What keys do

    def _press_key(self, context, event) -> bool:
        """Whether the key means something to the tool."""
        settings, held = context.window_manager.sam3d, self._held
        if event.type in {"X", "DEL"} and held.hovered is not None:
            self._do("Remove Click", marking.remove_click, held.hovered, wait=False)
        elif event.type in {"X", "DEL"} and held.hovers_box:
            self._do("Remove Box", marking.remove_box, wait=False)
        elif event.type == "BACK_SPACE":
            self._do("Remove Click", marking.remove_click, wait=False)
        elif event.type == "TAB":
            self._do("Add Object", actions.add_object)
        elif event.type == "E":
            settings.marking = OPPOSITE[settings.marking]
        elif event.type == "B":
            settings.marking = OTHER_HAND[settings.marking]
        elif settings.marking in BRUSHES and (step := _radius_step(event)):
            to_whole = math.ceil if step > 1 else math.floor
            settings.brush_radius = to_whole(settings.brush_radius * step)
        else:
            return False
        return True

    def _do(self, message: str, action: Callable, *arguments, **options) -> None:
        try:
            action(*arguments, **options)
        except ArtistError as error:
            self.report({"ERROR"}, str(error))
        else:
            bpy.ops.ed.undo_push(message=message)

    def _is_alive(self, context) -> bool:
        """Whether nobody has ended the tool, and its editor still shows the photo."""
        if self._held is not pointer.pointer or self._area not in context.screen.areas[:]:
            return False
        photo = context.scene.sam3d.photo
        is_photos_editor = self._area.type == "IMAGE_EDITOR" and self._area.spaces.active.image == photo
        return is_photos_editor and photo is not None and not photos.trouble(photo)

    def _is_over_photo_editor(self, event) -> bool:
        """Whether the mouse is over the photo's region; the sidebar may lie on top of it."""
        under = [
            region.type
            for region in self._area.regions
            if 0 <= event.mouse_x - region.x < region.width and 0 <= event.mouse_y - region.y < region.height
        ]
        return under == ["WINDOW"]

    def _end(self, context):
        if pointer.pointer is self._held:
            pointer.pointer = None
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        for area in context.screen.areas:
            area.tag_redraw()
        return {"FINISHED"}


def unregister() -> None:
    """End the tool if it runs, as Blender does not tell an operator that its class goes."""
    if pointer.pointer is None:
        return
    pointer.pointer = None
    for window in bpy.context.window_manager.windows:
        window.cursor_modal_restore()
        window.workspace.status_text_set(None)


def _draw_hints(header, context) -> None:
    is_brush = context.window_manager.sam3d.marking in BRUSHES
    for icon, text in BRUSH_HINTS if is_brush else CLICK_HINTS:
        header.layout.label(text=text, icon=icon)
    header.layout.separator_spacer()
    header.layout.template_reports_banner()  # what is refused is said nowhere else
    header.layout.template_running_jobs()


def _brush_radius(context, screen: Screen) -> float:
    """In pixels of the photo."""
    return context.window_manager.sam3d.brush_radius * screen.scale / screen.zoom


def _radius_step(event) -> float:
    if event.type == "RIGHT_BRACKET" or (event.ctrl and event.type == "WHEELUPMOUSE"):
        return RADIUS_STEP
    if event.type == "LEFT_BRACKET" or (event.ctrl and event.type == "WHEELDOWNMOUSE"):
        return 1 / RADIUS_STEP
    return 0.0


def _is_dragged(context, event, start, now) -> bool:
    inputs = context.preferences.inputs
    threshold = inputs.drag_threshold_tablet if event.is_tablet else inputs.drag_threshold_mouse
    threshold *= context.preferences.system.ui_scale
    return max(abs(now[0] - start[0]), abs(now[1] - start[1])) > threshold
