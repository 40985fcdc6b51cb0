"""Handles, clicks, boxes and the brush, drawn over the photo at the same size on the screen at every zoom."""

import math

import blf
import gpu
from gpu_extras.batch import batch_for_shader

from ..core.shapes import Shape
from . import pointer
from .screen import HANDLE_RADIUS, HOVERED_RADIUS, Screen

POINT_RADIUS = 6.0
FONT_SIZE = 12.0
LINE_WIDTH = 1.5
"""All in pixels of the screen at a resolution scale of 1."""

WHITE = (1.0, 1.0, 1.0, 1.0)
SHADE = (0.0, 0.0, 0.0, 0.6)
POSITIVE = (0.10, 0.65, 0.20, 1.0)
NEGATIVE = (0.85, 0.12, 0.12, 1.0)

_CIRCLE = [(math.cos(2 * math.pi * i / 32), math.sin(2 * math.pi * i / 32)) for i in range(33)]


def draw(context, prompts, shapes: dict[str, Shape]) -> None:
    """Draw what belongs to the objects of a photo. prompts: `Image.sam3d`; shapes: by uuid."""
    screen = Screen(context)
    active = prompts.active
    for number, prompt in enumerate(prompts.prompts, start=1):
        if prompt.show_mask and prompt.uuid in shapes:
            place = screen.handle(shapes[prompt.uuid])
            if place:
                _draw_handle(screen, place, number, prompt.color, prompt == active)
    held = pointer.pointer
    if active and active.show_mask:
        box = held.box if held and held.box else active.drawn_box
        if box:
            _draw_box(screen, box, bool(held and held.hovers_box))
        for index, click in enumerate(active.clicks):
            hovered = bool(held and held.hovered == index)
            _draw_click(screen, screen.place(click.x, click.y), click.positive, hovered)
    elif held and held.box:
        _draw_box(screen, held.box, False)
    if held and held.brush and held.place:
        x, y = screen.place(*held.place)
        radius = held.brush * screen.zoom
        _draw_line(screen, [(x + radius * dx, y + radius * dy) for dx, dy in _CIRCLE], WHITE)


def _draw_handle(screen: Screen, place, number: int, color, is_active: bool) -> None:
    radius = HANDLE_RADIUS * screen.scale
    _draw_disc(*place, radius + 2 * screen.scale, WHITE if is_active else SHADE)
    _draw_disc(*place, radius, (*color, 1.0))
    is_bright = color[0] * 0.3 + color[1] * 0.6 + color[2] * 0.1 > 0.5
    text = str(number)
    blf.size(0, FONT_SIZE * screen.scale)
    blf.color(0, *((0.0, 0.0, 0.0, 1.0) if is_bright else WHITE))
    width, height = blf.dimensions(0, text)
    blf.position(0, round(place[0] - width / 2), round(place[1] - height / 2), 0)
    blf.draw(0, text)
    gpu.state.blend_set("ALPHA")  # text leaves it off


def _draw_click(screen: Screen, place, positive: bool, hovered: bool) -> None:
    radius = (HOVERED_RADIUS if hovered else POINT_RADIUS) * screen.scale
    _draw_disc(*place, radius + 1.5 * screen.scale, WHITE)
    _draw_disc(*place, radius, POSITIVE if positive else NEGATIVE)
    arm, half = 0.6 * radius, 0.75 * screen.scale
    _draw_bar(*place, arm, half)
    if positive:
        _draw_bar(*place, half, arm)


def _draw_box(screen: Screen, box, hovered: bool) -> None:
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    width = LINE_WIDTH * (2 if hovered else 1)
    _draw_line(screen, [screen.place(*corner) for corner in corners], WHITE, width)


def _draw_line(screen: Screen, places, color, width: float = LINE_WIDTH) -> None:
    """A line with a shade around it, so that it shows on any photo."""
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINE_STRIP", {"pos": [(x, y, 0.0) for x, y in places]})
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    for line_color, line_width in ((SHADE, width + 2), (color, width)):
        shader.uniform_float("lineWidth", line_width * screen.scale)
        shader.uniform_float("color", line_color)
        batch.draw(shader)


def _draw_disc(x: float, y: float, radius: float, color) -> None:
    _draw_fan([(x + radius * dx, y + radius * dy) for dx, dy in _CIRCLE[:-1]], color)


def _draw_bar(x: float, y: float, half_width: float, half_height: float) -> None:
    left, right, bottom, top = x - half_width, x + half_width, y - half_height, y + half_height
    _draw_fan([(left, bottom), (right, bottom), (right, top), (left, top)], WHITE)


def _draw_fan(corners, color) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", color)
    batch_for_shader(shader, "TRI_FAN", {"pos": corners}).draw(shader)
