"""Photo to scene on the sample photo, inside Blender, through the operators that the panel's buttons call.

Run by `build_addon.py demo` as `python -m tools.demo FOLDER`. Writes scene.blend,
scene.glb and overlay.png, and prints seconds per stage, the worker's peak memory and how well each object
covers what was clicked.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np

from . import extension, pictures

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
RENDER_SAMPLES = 16
MASK_STRENGTH = 0.45
OUTLINE_PIXELS = 3


def load_and_click(clicks: dict) -> bpy.types.Image:
    """Load the photo and make the clicks of each object; the photo as Blender knows it."""
    bpy.ops.sam3d.load_photo(filepath=str(SAMPLES / clicks["photo"]))
    for name, clicked in clicks["objects"].items():
        bpy.ops.sam3d.add_object(name=name)
        for positive in (True, False):
            for x, y in clicked["positive" if positive else "negative"]:
                bpy.ops.sam3d.add_click(x=x, y=y, positive=positive)
    return bpy.context.scene.sam3d.photo


def add_sky() -> None:
    """The add-on lights a dark scene with a sun; a sky softens its shadows."""
    world = bpy.data.worlds.new("Sky")
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.25
    bpy.context.scene.world = world


def render(samples: int) -> np.ndarray:
    """(H, W, 4) through the scene's camera, nothing behind the objects."""
    scene = bpy.context.scene
    path = Path(bpy.app.tempdir, "render.png")
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.use_denoising = samples > 1
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return pictures.read(path)


def silhouettes(objects: list[bpy.types.Object]) -> list[np.ndarray]:
    """(H, W) bool of each object: the pixels whose centres show it, other objects standing in front."""
    cycles = bpy.context.scene.cycles
    usual = cycles.pixel_filter_type, cycles.filter_width
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    shapes = []
    for shown in objects:
        for other in objects:
            other.is_holdout = other != shown
        shapes.append(render(1)[..., 3] > 0.5)
    for each in objects:
        each.is_holdout = False
    cycles.pixel_filter_type, cycles.filter_width = usual
    return shapes


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two (H, W) bool masks."""
    return float((a & b).sum() / (a | b).sum())


def main(folder: Path) -> None:
    sam3d = extension.install()
    bpy.ops.wm.read_homefile(use_empty=True)
    actions = importlib.import_module(f"{sam3d.__name__}.actions")
    mask_text = importlib.import_module(f"{sam3d.__name__}.core.masks")
    clicks = json.loads((SAMPLES / "clicks.json").read_text())

    began = time.perf_counter()
    photo = load_and_click(clicks)
    clicked = time.perf_counter()
    bpy.ops.sam3d.reconstruct()
    reconstructed = time.perf_counter()

    result = actions.reconstruction.job.result
    names = list(clicks["objects"])
    scene = bpy.context.scene
    masks = [mask_text.unpack(photo.sam3d.prompts[name].mask) for name in names]
    colors = [np.array(photo.sam3d.prompts[name].color) for name in names]
    by_prompt = {made.sam3d.prompt: made for made in scene.objects if made.type == "MESH"}
    objects = [by_prompt[photo.sam3d.prompts[name].uuid] for name in names]

    add_sky()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    bpy.ops.export_scene.gltf(filepath=str(folder / "scene.glb"), export_format="GLB", export_cameras=True)
    shapes = silhouettes(objects)
    image = render(RENDER_SAMPLES)
    draw_overlay(folder / "overlay.png", photo, image, masks, colors, mask_text.outline)

    print(f"\n{'clicks to masks':24}{clicked - began:8.2f} s")
    print(f"{'masks to scene':24}{reconstructed - clicked:8.2f} s, of which")
    for stage, seconds in result.seconds.items():
        print(f"    {stage:20}{seconds:8.2f} s")
    print(f"{'worker at its peak':24}{result.peak_memory / 1e6:8.0f} MB")
    print(f"\n{'object':12}{'mask IoU':>10}{'mask against the true one':>28}")
    for name, mask, shape in zip(names, masks, shapes, strict=True):
        truth = pictures.read(SAMPLES / "masks" / f"{name}.png")[..., 0] > 0.5
        print(f"{name:12}{overlap(shape, mask):10.3f}{overlap(mask, truth):28.3f}")


def draw_overlay(path: Path, photo, image: np.ndarray, masks: list, colors: list, outline) -> None:
    """The photo; the photo with its masks; the reconstruction before the faded photo, masks outlined."""
    rgb = pictures.read(SAMPLES / photo.name)[..., :3]
    outlines = [outline(mask, OUTLINE_PIXELS) for mask in masks]
    masked = pictures.painted(pictures.painted(rgb, masks, colors, MASK_STRENGTH), outlines, colors, 1.0)
    built = pictures.painted(pictures.over(image, pictures.faded(rgb)), outlines, colors, 1.0)
    pictures.write(path, pictures.side_by_side([rgb, masked, built]))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve())
    finally:
        extension.disable()
