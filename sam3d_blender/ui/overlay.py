"""Masks drawn over the photo in the Image Editor.

A mask lies on the graphics card as a texture of one channel, made anew only when the mask changes; colour
and outline are the shader's, so that the outline is as wide on the screen at every zoom.
"""

from typing import NamedTuple

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..core.colors import linear_from_srgb
from ..core.shapes import Shape, bounds_of
from ..scene import photo as photos
from . import marks, pointer
from .screen import Screen

FILL_OPACITY, ACTIVE_FILL_OPACITY = 0.15, 0.35
OUTLINE_WIDTH = 3.0
"""Pixels of the screen: in the object's colour inside the mask, dark outside; shows on any photo."""

LARGEST_TEXTURE = 2048
"""Pixels of the longer side; a larger mask is shown by every n-th pixel."""

OWN, GIVEN_AWAY = 1.0, 0.5
"""Values of the texture: in the object's mask, or taken from it by a smaller object."""

FRAGMENT_SHADER = """
float value_at(vec2 at) {
    bool is_inside = all(greaterThanEqual(at, vec2(0.0))) && all(lessThanEqual(at, vec2(1.0)));
    return is_inside ? texture(mask, at).r : 0.0;
}

float own_share(int places) {
    float count = 0.0;
    for (int i = 0; i < places; i++) {
        float angle = 6.2831853 * float(i) / float(places);
        count += step(0.75, value_at(uv + reach * vec2(cos(angle), sin(angle))));
    }
    return count / float(places);
}

void main() {
    float around = own_share(4);
    if (around > 0.0 && around < 1.0) {
        around = own_share(16);
    }
    float here = value_at(uv);
    if (here > 0.75) {
        float rim = 1.0 - smoothstep(0.7, 0.95, around);
        fragColor = vec4(color.rgb, mix(color.a, 1.0, rim));
    }
    else {
        bool is_striped = here > 0.25 && fract((gl_FragCoord.x + gl_FragCoord.y) / 10.0) < 0.3;
        float shade = 0.6 * smoothstep(0.05, 0.4, around);
        fragColor = is_striped ? vec4(color.rgb, stripes) : vec4(0.0, 0.0, 0.0, shade);
    }
}
"""


class MaskTexture(NamedTuple):
    """A texture of the part of the photo in which the mask lies, and what it was made of.

    bounds: left, top, right, bottom of that part in pixels. Arrays are compared by identity.
    """

    whole: np.ndarray
    mask: np.ndarray
    strokes: int
    texture: gpu.types.GPUTexture
    bounds: tuple[int, int, int, int]


_textures: dict[str, MaskTexture] = {}
"""By prompt, as they are shown now."""

_shader: gpu.types.GPUShader | None = None
_handle = None


def register() -> None:
    global _handle
    if not bpy.app.background:
        _handle = bpy.types.SpaceImageEditor.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    global _handle, _shader
    if _handle is not None:
        bpy.types.SpaceImageEditor.draw_handler_remove(_handle, "WINDOW")
    _handle = _shader = None
    _textures.clear()


def draw() -> None:
    """Draw over the Image Editor that is being drawn, if it shows the photo."""
    context = bpy.context
    photo = context.scene.sam3d.photo
    if photo is None or context.space_data.image != photo or not context.space_data.overlay.show_overlays:
        return
    if photos.trouble(photo):
        return
    prompts = photo.sam3d
    shapes = prompts.shapes()
    visible = [prompt for prompt in prompts.prompts if prompt.show_mask]
    visible.sort(key=lambda prompt: prompt == prompts.active)
    gpu.state.blend_set("ALPHA")
    for prompt in visible:
        made = _texture(prompt.uuid, shapes.get(prompt.uuid))
        if made:
            _draw_over_photo(context, made, prompt.color, prompt == prompts.active)
    for uuid in _textures.keys() - {prompt.uuid for prompt in visible}:
        del _textures[uuid]
    marks.draw(context, prompts, shapes)
    gpu.state.blend_set("NONE")


def texture_values(whole: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w) float32, bottom row first, of two (H, W) bool masks: see OWN and GIVEN_AWAY."""
    step = -(-max(mask.shape) // LARGEST_TEXTURE)
    values = np.array([0.0, GIVEN_AWAY, OWN], np.float32)
    return values[whole[::-step, ::step].view(np.uint8) + mask[::-step, ::step].view(np.uint8)]


def _texture(uuid: str, shape) -> MaskTexture | None:
    held, strokes = pointer.pointer.stroke if pointer.pointer else None, 0
    if held and held[0] == uuid:
        shape, strokes = Shape(held[1], held[1]), pointer.pointer.strokes
    if not shape or not shape.whole.any():
        _textures.pop(uuid, None)
        return None
    made = _textures.get(uuid)
    if not made or made.whole is not shape.whole or made.mask is not shape.mask or made.strokes != strokes:
        bounds = bounds_of(shape.whole)
        part = slice(bounds[1], bounds[3]), slice(bounds[0], bounds[2])
        values = texture_values(shape.whole[part], shape.mask[part])
        buffer = gpu.types.Buffer("FLOAT", values.size, values.ravel())
        texture = gpu.types.GPUTexture(values.shape[::-1], format="R8", data=buffer)
        made = MaskTexture(shape.whole, shape.mask, strokes, texture, bounds)
        _textures[uuid] = made
    return made


def _draw_over_photo(context, made: MaskTexture, color, is_active: bool) -> None:
    screen = Screen(context)
    left, top, right, bottom = made.bounds
    width, height = right - left, bottom - top
    line = OUTLINE_WIDTH * screen.scale / screen.zoom  # in pixels of the photo
    u, v = line / width, line / height
    shader = _mask_shader()
    shader.bind()
    shader.uniform_sampler("mask", made.texture)
    linear = linear_from_srgb(np.array(color))  # as Blender's own shaders pass colours to its framebuffer
    shader.uniform_float("color", (*linear, ACTIVE_FILL_OPACITY if is_active else FILL_OPACITY))
    shader.uniform_float("reach", (u, v))
    shader.uniform_float("stripes", ACTIVE_FILL_OPACITY if is_active else 0.0)
    quad = {
        "pos": [screen.place(x, y) for y in (bottom + line, top - line) for x in (left - line, right + line)],
        "texCoord": [(-u, -v), (1 + u, -v), (-u, 1 + v), (1 + u, 1 + v)],
    }
    batch_for_shader(shader, "TRI_STRIP", quad).draw(shader)


def _mask_shader() -> gpu.types.GPUShader:
    """Compiled at the first draw, when there is a graphics context."""
    global _shader
    if _shader is None:
        between = gpu.types.GPUStageInterfaceInfo("sam3d_mask")
        between.smooth("VEC2", "uv")
        info = gpu.types.GPUShaderCreateInfo()
        info.push_constant("MAT4", "ModelViewProjectionMatrix")
        info.push_constant("VEC4", "color")
        info.push_constant("VEC2", "reach")
        info.push_constant("FLOAT", "stripes")
        info.sampler(0, "FLOAT_2D", "mask")
        info.vertex_in(0, "VEC2", "pos")
        info.vertex_in(1, "VEC2", "texCoord")
        info.vertex_out(between)
        info.fragment_out(0, "VEC4", "fragColor")
        info.vertex_source(
            "void main() { uv = texCoord; gl_Position = ModelViewProjectionMatrix * vec4(pos, 0.0, 1.0); }"
        )
        info.fragment_source(FRAGMENT_SHADER)
        _shader = gpu.shader.create_from_info(info)
    return _shader
