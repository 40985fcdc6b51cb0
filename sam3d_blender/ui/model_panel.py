"""The choice of the model in the preferences, and what there is to know before it is fetched."""

from pathlib import Path

import bpy

from .. import library
from ..core.state import progress_text
from ..worker import releases
from ..worker.environment import GIGABYTE
from ..worker.releases import Condition, Release
from .panels import draw_sentence

WIDTH = 90


def draw_model(layout, preferences) -> None:
    """The chosen model, how it is, and the buttons that get it or remove it."""
    layout.prop(preferences, "model")
    if preferences.model == releases.LOCAL:
        layout.prop(preferences, "checkpoint")
    draw_sentence(layout, library.state(), WIDTH)
    if library.is_under_way():
        task = library.task
        layout.progress(factor=task.fraction, text=progress_text(task.message, task.elapsed))
        layout.operator("sam3d.cancel_model", icon="X")
        return
    if library.task:
        draw_sentence(layout, library.task.error, WIDTH, icon="ERROR")
    if preferences.model == releases.LOCAL:
        folder = bpy.path.abspath(preferences.checkpoint)
        if preferences.checkpoint and releases.condition(Path(folder)) is Condition.RELEASED:
            layout.operator("sam3d.convert_model", icon="FILE_REFRESH").directory = folder
    elif preferences.model != releases.BUILT_IN:
        draw_release(layout, preferences, library.release())


def draw_release(layout, preferences, release: Release) -> None:
    """Licences, token and download of a model that is not here, or its removal."""
    condition = releases.condition(release.folder)
    if condition in (Condition.MISSING, Condition.BEGUN):
        draw_weights(layout, release)
        if any(weights.gated for weights in release.weights):
            layout.prop(preferences, "token")
        layout.operator("sam3d.download_model", text="Download", icon="IMPORT")
        layout.operator("sam3d.convert_model", text="Convert Released Files", icon="FILE_FOLDER")
    if condition is not Condition.MISSING:
        layout.operator("sam3d.remove_model", text="Remove", icon="TRASH")


def draw_weights(layout, release: Release) -> None:
    """What will be fetched, from whom, under which licence, and where to read and accept that."""
    for weights in release.weights:
        row = layout.split(factor=0.75)
        row.label(text=f"{weights.title}: {weights.bytes / GIGABYTE:.1f} GB, {weights.license}")
        text = "Read and Accept" if weights.gated else "Read"
        row.operator("wm.url_open", text=text, icon="URL").url = weights.page
    fetched, kept = release.download / GIGABYTE, release.bytes / GIGABYTE
    draw_sentence(
        layout,
        f"{fetched:.1f} GB will be downloaded, of which {kept:.1f} GB stay in {release.folder}.",
        WIDTH,
    )
