"""The choice of the segmenter in the preferences, and how to get its weights. Draws state, changes none."""

from .. import library
from ..worker import releases
from ..worker.environment import GIGABYTE
from ..worker.releases import Condition
from .model_panel import WIDTH, draw_weights
from .panels import draw_sentence


def draw_segmenter(layout, preferences) -> None:
    """The chosen segmenter, and the buttons that get it or remove it."""
    layout.prop(preferences, "segmenter")
    if preferences.segmenter == releases.LOCAL:
        layout.prop(preferences, "segmenter_folder")
    release = releases.segmenters().get(preferences.segmenter)
    if release is None or library.is_under_way():
        return
    if releases.is_segmenter(release.folder):
        used = releases.size(release.folder) / GIGABYTE
        draw_sentence(layout, f"{release.title} is ready: {used:.2f} GB in {release.folder}.", WIDTH)
    else:
        draw_sentence(
            layout,
            f"{release.title} is not on this machine yet; until it is, the embedded one is used.",
            WIDTH,
        )
        draw_weights(layout, release)
        if any(weights.gated for weights in release.weights):
            layout.prop(preferences, "token")
        layout.operator("sam3d.download_model", text="Download", icon="IMPORT").model = release.name
    if releases.condition(release.folder) is not Condition.MISSING:
        layout.operator("sam3d.remove_model", text="Remove", icon="TRASH").model = release.name
