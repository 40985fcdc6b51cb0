"""The part of the journey that marks objects: clicks, a box, the brush, points removed, undo and redo."""

from pathlib import Path

import bpy
import hands
import numpy as np

from tools import pictures

CLICK_ACCURACY = 4
"""Pixels of the photo, of which one of the window covers about two."""

MASK_SECONDS = 60
LEAST_IOU = 0.85
"""Of a mask against the true one, after the sample's clicks."""

LEAST_BOX_IOU = 0.5
"""The same of a box alone."""


def place_of(x: float, y: float) -> tuple[float, float]:
    """Where the photo's pixel is in the window."""
    editor = hands.area("IMAGE_EDITOR")
    view = hands.region(editor, "WINDOW")
    width, height = photo().size
    column, row = view.view2d.view_to_region(x / width, 1 - y / height, clip=False)
    return view.x + column, view.y + row


def photo() -> bpy.types.Image:
    return bpy.context.scene.sam3d.photo


def prompts():
    return photo().sam3d.prompts


def mask(name: str) -> np.ndarray:
    """(H, W) bool, as it was marked."""
    return photo().sam3d.shapes()[prompts()[name].uuid].whole


def iou(name: str, truth: np.ndarray) -> float:
    return float((mask(name) & truth).sum() / (mask(name) | truth).sum())


def true_mask(name: str, folder: Path) -> np.ndarray:
    return pictures.read(folder / f"{name}.png")[..., 0] > 0.5


def every_mask_is_there() -> bool:
    return all(prompt.is_current and not prompt.message for prompt in prompts())


def masks_are_there() -> hands.Steps:
    yield 0.2
    yield from hands.wait_until(every_mask_is_there, MASK_SECONDS)


def begin() -> hands.Steps:
    """Press the button of the tool."""
    with hands.inside(hands.area("IMAGE_EDITOR")):
        bpy.ops.sam3d.click("INVOKE_DEFAULT")
    yield 0.2


def press(kind: str, **modifiers: bool) -> hands.Steps:
    """A key, the mouse over an empty corner of the photo."""
    yield from hands.key(kind, *place_of(512, 30), **modifiers)
    yield 0.2


def click_objects(clicks: dict, truths: Path) -> hands.Steps:
    """Click every object of the sample; each mask must be the object's."""
    yield from begin()
    for name, clicked in clicks["objects"].items():
        yield from press("TAB")
        photo().sam3d.active.name = name
        for kind in ("positive", "negative"):
            for x, y in clicked[kind]:
                yield from hands.click(*place_of(x, y), alt=kind == "negative")
        made = prompts()[name]
        expected = clicked["positive"] + clicked["negative"]
        assert len(made.clicks) == len(expected), f"{name}: {len(made.clicks)} clicks of {len(expected)}"
        for click, (x, y) in zip(made.clicks, expected, strict=True):
            assert abs(click.x - x) < CLICK_ACCURACY and abs(click.y - y) < CLICK_ACCURACY, (
                f"{name}: {click.x, click.y} is not {x, y}"
            )
        yield from masks_are_there()
        overlap = iou(name, true_mask(name, truths))
        print(f"{name}: {len(expected)} clicks, IoU {overlap:.3f}", flush=True)
        assert overlap > LEAST_IOU
    yield from press("RET")


def undo_and_redo_a_click(name: str) -> hands.Steps:
    before = len(prompts()[name].clicks)
    yield from press("Z", ctrl=True)
    assert len(prompts()[name].clicks) == before - 1, "Ctrl Z takes one click back"
    yield from press("Z", ctrl=True, shift=True)
    assert len(prompts()[name].clicks) == before, "Ctrl Shift Z brings it back"
    yield from masks_are_there()


def exclude_and_undo(name: str, *places: tuple[float, float]) -> hands.Steps:
    """Alt with a click excludes what is there, and so does a click after E; Ctrl Z brings it back."""
    photo().sam3d.active_index = prompts().find(name)
    before = len(prompts()[name].clicks)
    yield from begin()
    for alt, (x, y) in zip((True, False), places, strict=True):
        if not alt:
            yield from press("E")
        assert mask(name)[y, x]
        yield from hands.click(*place_of(x, y), alt=alt)
        yield from masks_are_there()
        assert not prompts()[name].clicks[-1].positive
        assert not mask(name)[y, x], f"{x, y} is no longer part of {name}"
    yield from press("E")
    yield from press("BACK_SPACE")
    assert len(prompts()[name].clicks) == before + 1, "Backspace takes the last click back"
    for _ in places:
        yield from press("Z", ctrl=True)
    assert len(prompts()[name].clicks) == before + 1, "Ctrl Z has brought that one back, and taken it again"
    yield from press("Z", ctrl=True)
    assert len(prompts()[name].clicks) == before
    yield from press("RET")
    yield from masks_are_there()


def correct_by_hand(name: str, truths: Path, output: Path) -> hands.Steps:
    """A box, a click more and less, strokes of brush and eraser; every step is undone and redone."""
    truth = true_mask(name, truths)
    rows, columns = np.nonzero(truth)
    left, top, right, bottom = columns.min() - 8, rows.min() - 8, columns.max() + 8, rows.max() + 8
    yield from begin()
    yield from press("TAB")
    photo().sam3d.active.name = "by hand"
    middle = ((left + right) / 2, (top + bottom) / 2)
    yield from hands.drag([place_of(left, top), place_of(*middle), place_of(right, bottom)])
    yield from masks_are_there()
    made = prompts()["by hand"]
    assert np.abs(np.array(made.drawn_box) - (left, top, right, bottom)).max() < CLICK_ACCURACY
    print(f"{name}: a box, IoU {iou('by hand', truth):.3f}", flush=True)
    assert iou("by hand", truth) > LEAST_BOX_IOU
    own = [photo().sam3d.shapes()[prompts()[each].uuid].mask for each in (name, "by hand")]
    assert not (own[0] & own[1]).any(), "no pixel belongs to two objects"

    yield from hands.click(*place_of(*middle))
    yield from hands.click(*place_of(middle[0], bottom - 30))
    yield from masks_are_there()
    yield from hands.point_at(*place_of(*middle))
    yield from hands.key("X", *place_of(*middle))
    yield from masks_are_there()
    [left_over] = prompts()["by hand"].clicks
    assert abs(left_over.y - (bottom - 30)) < CLICK_ACCURACY, "X removes the click under the mouse"

    clicked = mask("by hand").copy()
    yield from press("B")
    stroke = [(right + 30, top + 20), (right + 50, top + 60), (right + 40, top + 100)]
    yield from hands.drag([place_of(*place) for place in stroke])
    brushed = mask("by hand").copy()
    for x, y in np.array(stroke).astype(int):
        assert brushed[y, x] and not clicked[y, x], "the brush adds"
    yield from hands.drag([place_of(*place) for place in stroke[:2]], alt=True)
    assert not mask("by hand")[int(stroke[0][1]), int(stroke[0][0])], "Alt erases"
    yield from hands.point_at(*place_of(*stroke[1]))
    yield from hands.screenshot(output / "brush.png")
    radius = bpy.context.window_manager.sam3d.brush_radius
    yield from press("RIGHT_BRACKET")
    assert bpy.context.window_manager.sam3d.brush_radius > radius

    yield from press("Z", ctrl=True)
    assert (mask("by hand") == brushed).all(), "Ctrl Z takes the eraser back"
    yield from press("Z", ctrl=True)
    assert (mask("by hand") == clicked).all(), "Ctrl Z takes the stroke back"
    assert bpy.context.window_manager.sam3d.marking == "BRUSH", "and leaves the brush in hand"
    for _ in range(4):  # removal, two clicks, box
        yield from press("Z", ctrl=True)
    assert photo().sam3d.active.drawn_box is None
    for _ in range(5):
        yield from press("Z", ctrl=True, shift=True)
    yield from masks_are_there()
    assert (mask("by hand") == brushed).all(), "Ctrl Shift Z brings everything back"
    yield from press("B")
    side = place_of((left + right) / 2, bottom)
    yield from hands.point_at(*side)
    yield from hands.key("X", *side)
    assert prompts()["by hand"].drawn_box is None, "X removes the box whose side is under the mouse"
    yield from masks_are_there()
    yield from choose_by_handle(name)
    yield from press("RET")
    bpy.ops.sam3d.remove_object(object="by hand")


def choose_by_handle(name: str) -> hands.Steps:
    """Click on the number above an object."""
    x, y = photo().sam3d.shapes()[prompts()[name].uuid].top
    column, row = place_of(x, y)
    clicks = len(prompts()[name].clicks)
    yield from hands.click(column, row + 13)
    assert photo().sam3d.active.name == name, "a click on its number makes an object the active one"
    assert len(prompts()[name].clicks) == clicks


def look_closer(name: str, output: Path) -> hands.Steps:
    """Pictures of the overlay with the whole photo in sight, and close to the top of an object."""
    editor = hands.area("IMAGE_EDITOR")
    photo().sam3d.active_index = prompts().find(name)
    yield from begin()
    yield from hands.point_at(*place_of(512, 30))
    yield from hands.screenshot(output / "overlay_zoom_fit.png")
    left, top, right, _ = photo().sam3d.shapes()[prompts()[name].uuid].bounds
    view = hands.region(editor, "WINDOW")
    (xmin, ymin), (xmax, ymax) = place_of(left, top + right - left), place_of(right, top)
    with hands.inside(editor):
        bpy.ops.image.view_zoom_border(
            xmin=xmin - view.x, xmax=xmax - view.x, ymin=ymin - view.y, ymax=ymax - view.y, zoom_out=False
        )
    yield 0.5
    yield from hands.screenshot(output / "overlay_zoom_in.png")
    with hands.inside(editor):
        bpy.ops.image.view_all(fit_view=True)
    yield 0.5
    yield from press("RET")
