"""Masks and clicks drawn over the photo in the Image Editor."""

import math

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .core import masks

FILL_OPACITY = 0.3
ACTIVE_FILL_OPACITY = 0.5
LARGEST_TEXTURE = 2048
"""Pixels of the longer side; a larger mask is shown by every n-th pixel."""

POINT_RADIUS, INACTIVE_POINT_RADIUS = 6.0, 4.0
RIM_WIDTH = 0.25
"""Of the white rim around a point, in radii."""

RIM = (1.0, 1.0, 1.0, 1.0)
POSITIVE = (0.10, 0.75, 0.20, 1.0)
NEGATIVE = (0.90, 0.15, 0.15, 1.0)

_CIRCLE = [(math.cos(2 * math.pi * i / 24), math.sin(2 * math.pi * i / 24)) for i in range(24)]

_textures: dict[tuple, gpu.types.GPUTexture] = {}
"""One for each mask as it is shown now; made again only when mask, colour or activity change."""

_handle = None


def register() -> None:
    global _handle
    if not bpy.app.background:
        _handle = bpy.types.SpaceImageEditor.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    global _handle
    if _handle is not None:
        bpy.types.SpaceImageEditor.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    _textures.clear()


def draw() -> None:
    """Draw over the Image Editor that is being drawn, if it shows the photo."""
    context = bpy.context
    photo = context.scene.sam3d.photo
    if photo is None or context.space_data.image != photo or not context.space_data.overlay.show_overlays:
        return
    view = context.region.view2d
    prompts = photo.sam3d
    gpu.state.blend_set("ALPHA")
    shown = {}
    for prompt in prompts.prompts:
        if prompt.show_mask and prompt.mask:
            is_active = prompt == prompts.active
            key = (hash(prompt.mask), tuple(prompt.color), is_active)
            shown[key] = _textures.get(key) or _mask_texture(prompt.mask, key[1], is_active)
            _draw_over_photo(view, shown[key])
    _textures.clear()
    _textures.update(shown)
    for prompt in prompts.prompts:
        if prompt.show_mask:
            radius = POINT_RADIUS if prompt == prompts.active else INACTIVE_POINT_RADIUS
            _draw_clicks(view, prompt.clicks, photo.size, radius * context.preferences.system.ui_scale)
    gpu.state.blend_set("NONE")


def mask_colors(mask: np.ndarray, color: tuple[float, float, float], is_active: bool) -> np.ndarray:
    """(h, w, 4) float32 display-referred, bottom row first: translucent inside, opaque at the outline."""
    step = math.ceil(max(mask.shape) / LARGEST_TEXTURE)
    mask = mask[::step, ::step]
    rgba = np.zeros((*mask.shape, 4), np.float32)
    rgba[..., :3] = color
    rgba[mask, 3] = ACTIVE_FILL_OPACITY if is_active else FILL_OPACITY
    rgba[masks.outline(mask, max(1, round(max(mask.shape) / 500))), 3] = 1.0
    return rgba[::-1]


def _mask_texture(text: str, color, is_active: bool) -> gpu.types.GPUTexture:
    rgba = mask_colors(masks.unpack(text), color, is_active)
    height, width = rgba.shape[:2]
    values = np.ascontiguousarray(rgba).ravel()
    return gpu.types.GPUTexture(
        (width, height), format="RGBA8", data=gpu.types.Buffer("FLOAT", values.size, values)
    )


def _draw_over_photo(view, texture: gpu.types.GPUTexture) -> None:
    left, bottom = view.view_to_region(0, 0, clip=False)
    right, top = view.view_to_region(1, 1, clip=False)
    shader = gpu.shader.from_builtin("IMAGE")
    corners = {
        "pos": ((left, bottom), (right, bottom), (right, top), (left, top)),
        "texCoord": ((0, 0), (1, 0), (1, 1), (0, 1)),
    }
    shader.bind()
    shader.uniform_sampler("image", texture)
    batch_for_shader(shader, "TRI_FAN", corners).draw(shader)


def _draw_clicks(view, clicks, photo_size, radius: float) -> None:
    width, height = photo_size
    for click in clicks:
        x, y = view.view_to_region(click.x / width, 1 - click.y / height, clip=False)
        _draw_disc(x, y, radius * (1 + RIM_WIDTH), RIM)
        _draw_disc(x, y, radius, POSITIVE if click.positive else NEGATIVE)


def _draw_disc(x: float, y: float, radius: float, color) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", color)
    circle = [(x + radius * dx, y + radius * dy) for dx, dy in _CIRCLE]
    batch_for_shader(shader, "TRI_FAN", {"pos": circle}).draw(shader)
