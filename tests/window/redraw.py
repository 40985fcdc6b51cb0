"""How long a photo of 1920 × 1280 with five masks takes to redraw: `run.py --journey redraw.py`."""

import sys
import time
from pathlib import Path

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import hands  # noqa: E402

from tools import extension  # noqa: E402

WIDTH, HEIGHT = 1920, 1280
REDRAWS = 20


def milliseconds(act) -> float:
    """Of one of REDRAWS calls."""
    began = time.perf_counter()
    for _ in range(REDRAWS):
        act()
    return (time.perf_counter() - began) / REDRAWS * 1000


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.indices((HEIGHT, WIDTH))
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def journey() -> hands.Steps:
    package = extension.install()
    overlay = sys.modules[f"{package.__name__}.ui.overlay"]
    masks = sys.modules[f"{package.__name__}.core.masks"]
    hands.area("VIEW_3D").type = "IMAGE_EDITOR"
    yield 0.5
    photo = bpy.data.images.new("Photo", WIDTH, HEIGHT)
    bpy.context.scene.sam3d.photo = photo
    editor = hands.area("IMAGE_EDITOR")
    with hands.inside(editor):
        bpy.ops.image.view_all(fit_view=True)
    yield 1.0

    def redraw() -> None:
        hands.region(editor, "WINDOW").tag_redraw()
        bpy.ops.wm.redraw_timer(type="DRAW_WIN", iterations=1)

    redraw()
    without = milliseconds(redraw)
    for number in range(5):
        prompt = photo.sam3d.new_prompt()
        prompt.mask = masks.pack(disc(300 + 330 * number, 400 + 100 * (number % 3), 260))
    began = time.perf_counter()
    redraw()
    first = (time.perf_counter() - began) * 1000
    with_masks = milliseconds(redraw)
    taken = []
    draw_masks = overlay.draw
    overlay.unregister()

    def draw() -> None:
        began = time.perf_counter()
        draw_masks()
        taken.append((time.perf_counter() - began) * 1000)

    handle = bpy.types.SpaceImageEditor.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")
    milliseconds(redraw)
    bpy.types.SpaceImageEditor.draw_handler_remove(handle, "WINDOW")
    print(f"redraw of the window without masks {without:.1f} ms, with five masks {with_masks:.1f} ms")
    print(f"first redraw after all masks changed {first:.1f} ms")
    print(f"the overlay's own code {np.median(taken):.2f} ms a redraw", flush=True)


hands.run(journey())
