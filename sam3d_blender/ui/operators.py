"""Operators: each calls one action and turns its refusal into a report."""

from collections.abc import Callable
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import actions, depth_files, installation, mask_files, session
from ..core.errors import ArtistError
from ..scene import photo as photos
from ..worker import environment
from ..worker.jobs import JobState
from ..worker.task import Task
from . import pointer
from .panels import draw_sentence

IMAGE_FILES = ";".join(f"*{suffix}" for suffix in mask_files.IMAGE_SUFFIXES)


def object_name() -> StringProperty:
    return StringProperty(
        name="Object", description="Name of the object; empty for the active one", options={"SKIP_SAVE"}
    )


class Action:
    """An operator that does one action at once. `act` may raise ArtistError."""

    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context):
        try:
            self.act(context)
        except ArtistError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


_timers: list[bpy.types.Timer] = []
"""Of the windows in which jobs go on."""


def unregister() -> None:
    """Stop the timers of jobs that go on, as Blender does not tell an operator that its class goes."""
    while _timers:
        bpy.context.window_manager.event_timer_remove(_timers.pop())


class RunsJob(Action):
    """An action that in a window goes on while Blender stays usable, until Esc; elsewhere it is waited for.

    `act` does all of it. `start` begins it and returns the job, `finish` is for when that is over; both may
    raise ArtistError.
    """

    bl_options: ClassVar[set[str]] = {"UNDO"}

    def invoke(self, context, event):
        if bpy.app.background:
            return self.execute(context)
        try:
            self._job = self.start()
        except ArtistError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.1, window=context.window)
        _timers.append(self._timer)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        ends_marking = pointer.pointer and pointer.pointer.place
        if event.type == "ESC" and event.value == "PRESS" and not ends_marking:
            session.cancel(self._job)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER" or not self._job.is_over:
            return {"PASS_THROUGH"}
        self._stop_timer(context)
        if self._job.state == JobState.CANCELLED:
            self.report({"INFO"}, f"{self.bl_label} cancelled")
            return {"CANCELLED"}
        try:
            self.finish()
        except ArtistError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def cancel(self, context):
        self._stop_timer(context)
        session.cancel(self._job)

    def _stop_timer(self, context):
        _timers.remove(self._timer)
        context.window_manager.event_timer_remove(self._timer)


class NeedsPhoto:
    @classmethod
    def poll(cls, context):
        photo = context.scene.sam3d.photo
        missing = photos.trouble(photo) if photo else "Load a photo first"
        if missing:
            cls.poll_message_set(missing)
        return not missing


class PicksFile:
    """Ask for a file when started from the interface."""

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=IMAGE_FILES, options={"HIDDEN"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class SAM3D_OT_load_photo(PicksFile, Action, bpy.types.Operator):
    """Load a photo to take objects from"""

    bl_idname = "sam3d.load_photo"
    bl_label = "Load Photo"

    def act(self, context):
        actions.load_photo(self.filepath)


class SAM3D_OT_add_object(NeedsPhoto, Action, bpy.types.Operator):
    """Begin another object of the photo"""

    bl_idname = "sam3d.add_object"
    bl_label = "Add Object"

    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    def act(self, context):
        actions.add_object(self.name)


class SAM3D_OT_remove_object(NeedsPhoto, Action, bpy.types.Operator):
    """Take an object out of the photo's list; what was made of it stays in the scene"""

    bl_idname = "sam3d.remove_object"
    bl_label = "Remove Object"

    object: object_name()

    def act(self, context):
        actions.remove_object(self.object or None)


class SAM3D_OT_set_depth(NeedsPhoto, PicksFile, Action, bpy.types.Operator):
    """Shape and place objects by depth from a file: an EXR such as a Depth pass, a .npy of depth or points"""

    bl_idname = "sam3d.set_depth"
    bl_label = "Depth from File"

    filter_glob: StringProperty(default="*.exr;*.npy", options={"HIDDEN"})

    def act(self, context):
        depth_files.set_depth(self.filepath)


class SAM3D_OT_clear_depth(NeedsPhoto, Action, bpy.types.Operator):
    """Have the photo's depth estimated again"""

    bl_idname = "sam3d.clear_depth"
    bl_label = "Remove Depth"

    def act(self, context):
        depth_files.clear_depth()


class SAM3D_OT_reconstruct(NeedsPhoto, RunsJob, bpy.types.Operator):
    """Make a mesh of every object that is marked in the photo, where it stands there"""

    bl_idname = "sam3d.reconstruct"
    bl_label = "Reconstruct"

    replace: BoolProperty(
        name="Replace Edited",
        description="Also make again what you have edited, and put it in place of your edits",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, context, properties):
        return "Make every object again, and overwrite what you have edited" if properties.replace else ""

    def act(self, context):
        actions.reconstruct(self.replace)
        self._say_what_is_not_new()

    def start(self):
        return actions.start_reconstruction(self.replace).job

    def finish(self):
        actions.finish_reconstruction()
        self._say_what_is_not_new()

    def _say_what_is_not_new(self):
        if actions.reconstruction.kept:
            self.report(
                {"INFO"}, f"Not made again, as you have edited them: {', '.join(actions.reconstruction.kept)}"
            )
        for name in actions.reconstruction.empty:
            self.report({"WARNING"}, f"{name}: {actions.NOTHING_MADE}")


class SAM3D_OT_cancel(bpy.types.Operator):
    """Stop the reconstruction under way; nothing in the scene changes"""

    bl_idname = "sam3d.cancel"
    bl_label = "Cancel"

    def execute(self, context):
        actions.cancel()
        return {"FINISHED"}


class SAM3D_OT_view_through_camera(NeedsPhoto, Action, bpy.types.Operator):
    """Look through the photo's camera, and render in the photo's size"""

    bl_idname = "sam3d.view_through_camera"
    bl_label = "View Through Camera"

    def act(self, context):
        actions.view_through_camera()
        views = [area for area in context.screen.areas if area.type == "VIEW_3D"] if context.screen else []
        if context.area in views:
            views = [context.area]
        if views:
            largest = max(views, key=lambda area: area.width * area.height)
            largest.spaces.active.region_3d.view_perspective = "CAMERA"


class SAM3D_OT_install_environment(bpy.types.Operator):
    """Download PyTorch and what the model needs into a folder of its own"""

    bl_idname = "sam3d.install_environment"
    bl_label = "Install"

    def invoke(self, context, event):
        if not bpy.app.online_access and not bpy.app.online_access_override:
            return bpy.ops.extensions.userpref_allow_online_popup("INVOKE_DEFAULT")
        return context.window_manager.invoke_props_dialog(self, width=480, confirm_text="Install")

    def draw(self, context):
        draw_sentence(self.layout, environment.plan().sentence, width=70)

    def execute(self, context):
        return run_task(self, installation.install_environment)


class SAM3D_OT_use_python(bpy.types.Operator):
    """Run the model in a Python of your own that has PyTorch and what else it needs"""

    bl_idname = "sam3d.use_python"
    bl_label = "Use This Python"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        return run_task(self, lambda: installation.use_python(self.filepath))


class SAM3D_OT_cancel_installation(bpy.types.Operator):
    """Stop the installation; an environment that was there before stays"""

    bl_idname = "sam3d.cancel_installation"
    bl_label = "Cancel"

    def execute(self, context):
        installation.cancel()
        return {"FINISHED"}


def run_task(operator: bpy.types.Operator, start: Callable[[], Task]) -> set[str]:
    """Start a task that the panel follows; without a window, wait for its end."""
    try:
        task = start()
        if bpy.app.background and session.wait(task).error:
            raise ArtistError(task.error)
    except ArtistError as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    return {"FINISHED"}


CLASSES = (
    SAM3D_OT_load_photo,
    SAM3D_OT_add_object,
    SAM3D_OT_remove_object,
    SAM3D_OT_set_depth,
    SAM3D_OT_clear_depth,
    SAM3D_OT_reconstruct,
    SAM3D_OT_cancel,
    SAM3D_OT_view_through_camera,
    SAM3D_OT_install_environment,
    SAM3D_OT_use_python,
    SAM3D_OT_cancel_installation,
)
