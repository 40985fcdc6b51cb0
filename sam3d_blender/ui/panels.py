"""Reconstruction in the SAM 3D tab of the Image Editor and the 3D View, and the preferences.

Draws state, changes none.
"""

import textwrap

import bpy

from .. import actions, installation, library
from ..core.state import progress_text
from ..scene.camera import camera_of
from ..worker import environment
from ..worker.jobs import JobState

CATEGORY = "SAM 3D"


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
        column.prop(settings, "preset")
        column.prop(settings, "seed")
        column.prop(settings, "refine_layout")
        draw_camera(column, settings.photo.sam3d)
        if actions.is_reconstructing():
            draw_progress(layout, actions.reconstruction.job, "sam3d.cancel")
        else:
            draw_sentence(layout, library.stand_in(), icon="INFO")
            row = layout.row(align=True)
            row.scale_y = 1.5
            row.operator("sam3d.reconstruct", icon="MESH_MONKEY")
            if camera_of(context.scene, settings.photo):
                row.operator("sam3d.reconstruct", text="", icon="FILE_REFRESH").replace = True
            if actions.reconstruction:
                draw_sentence(layout, actions.reconstruction.job.error)
        if actions.reconstruction:
            draw_sentence(layout, actions.reconstruction.job.notice, icon="INFO")
        layout.operator("sam3d.view_through_camera", icon="VIEW_CAMERA")


def draw_camera(layout, photo) -> None:
    """What is known of the camera and of the depth. photo: `Image.sam3d`."""
    layout.prop(photo, "lens", text="Lens (mm)" if photo.lens else "Lens (auto)")
    if not photo.depth_file:
        layout.operator("sam3d.set_depth", text="Depth from File…", icon="EMPTY_SINGLE_ARROW")
        return
    row = layout.row()
    row.label(text=bpy.path.basename(photo.depth_file), icon="EMPTY_SINGLE_ARROW")
    row.operator("sam3d.clear_depth", text="", icon="X", emboss=False)


def draw_progress(layout, job, cancel: str) -> None:
    """Stage, time and bar of a job, with the way out. cancel: the operator that gives it up."""
    layout.progress(factor=job.fraction, text=progress_text(job.message, job.elapsed))
    layout.operator(cancel, icon="X")


def draw_sentence(layout, sentence: str, width: int = 36, icon: str = "NONE") -> None:
    """A sentence, broken into lines of about that many letters, with an icon before the first."""
    column = layout.column(align=True)
    for line in textwrap.wrap(sentence, width):
        column.label(text=line, icon=icon)
        icon = "NONE" if icon == "NONE" else "BLANK1"


def draw_installation(layout, width: int = 36) -> None:
    """How the worker's Python environment is, and the button that makes it."""
    task = installation.task
    if installation.is_under_way():
        layout.progress(factor=task.fraction, text=progress_text(task.message, task.elapsed))
        layout.operator("sam3d.cancel_installation", icon="X")
        return
    draw_sentence(layout, installation.state(), width)
    if task and task.state is not JobState.DONE:
        draw_sentence(layout, task.message, width)
    is_there = environment.check().condition != environment.Condition.MISSING
    layout.operator(
        "sam3d.install_environment", text="Install Again" if is_there else "Install", icon="IMPORT"
    )


def draw_environment(layout, preferences) -> None:
    """Environment, own Python, memory: a part of the add-on's preferences."""
    draw_installation(layout, width=90)
    row = layout.row(align=True)
    row.prop(preferences, "python")
    row.operator("sam3d.use_python", text="", icon="FILEBROWSER")
    layout.prop(preferences, "memory")


class SAM3D_PT_image_reconstruct(ReconstructPanel, bpy.types.Panel):
    bl_space_type = "IMAGE_EDITOR"


class SAM3D_PT_view_reconstruct(ReconstructPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


CLASSES = (
    SAM3D_PT_image_reconstruct,
    SAM3D_PT_view_reconstruct,
)
