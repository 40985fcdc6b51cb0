"""Where things of the photo are in the Image Editor, and which of them the mouse is over."""

import math

from ..core.shapes import Shape

HANDLE_RADIUS = 9.0
HANDLE_GAP = 4.0
HOVERED_RADIUS = 8.5
"""Of a click under the mouse."""

BOX_REACH = 5.0
"""From a box's side, at which it is hovered over; all in pixels of the screen at a resolution scale of 1."""


class Screen:
    """Where things of the photo are in a region of the Image Editor, in its pixels from the bottom left."""

    def __init__(self, context, region=None):
        self.region = region or context.region
        self.scale = context.preferences.system.ui_scale
        self._view = self.region.view2d
        self._width, self._height = context.scene.sam3d.photo.size
        self._origin = self._view.region_to_view(0, 0)
        across, up = self._view.region_to_view(1000, 1000)
        self._per_pixel = (across - self._origin[0]) / 1000, (up - self._origin[1]) / 1000

    @property
    def zoom(self) -> float:
        """Pixels of the screen to one of the photo."""
        return 1 / (self._per_pixel[0] * self._width)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Of a place (x, y) in pixels of the photo, from its top left corner."""
        u, v = x / self._width, 1 - y / self._height
        return (u - self._origin[0]) / self._per_pixel[0], (v - self._origin[1]) / self._per_pixel[1]

    def photo_place(self, column: float, row: float) -> tuple[float, float]:
        """The place in the photo, the other way round."""
        u = self._origin[0] + column * self._per_pixel[0]
        v = self._origin[1] + row * self._per_pixel[1]
        return u * self._width, (1 - v) * self._height

    def handle(self, shape: Shape) -> tuple[float, float] | None:
        """The middle of an object's handle: above it, kept in sight while part of the object is."""
        left, top, right, bottom = shape.bounds
        (x0, y0), (x1, y1) = self.place(left, bottom), self.place(right, top)
        if x1 < 0 or y1 < 0 or x0 > self.region.width or y0 > self.region.height:
            return None
        margin = (HANDLE_RADIUS + HANDLE_GAP) * self.scale
        x, y = self.place(*shape.top)
        x = min(max(x, margin), self.region.width - margin)
        return x, min(max(y + margin, margin), self.region.height - margin)


def click_under(prompt, screen: Screen, mouse) -> int | None:
    """The index of the object's click nearest to the mouse, if it is under it."""
    distances = [math.dist(screen.place(click.x, click.y), mouse) for click in prompt.clicks]
    nearest = min(range(len(distances)), key=distances.__getitem__, default=None)
    is_under = nearest is not None and distances[nearest] <= HOVERED_RADIUS * screen.scale
    return nearest if is_under else None


def is_on_box(box, screen: Screen, mouse) -> bool:
    """Whether the mouse is on a side of a box in pixels of the photo; it is not on None."""
    if box is None:
        return False
    (left, top), (right, bottom) = screen.place(*box[:2]), screen.place(*box[2:])
    reach = BOX_REACH * screen.scale
    outside = max(left - mouse[0], mouse[0] - right, bottom - mouse[1], mouse[1] - top)
    return abs(outside) <= reach


def handle_under(photo, screen: Screen, mouse) -> int | None:
    """The index of an object but the active one whose handle is under the mouse. photo: `Image.sam3d`."""
    shapes = photo.shapes()
    for index, prompt in enumerate(photo.prompts):
        if index != photo.active_index and prompt.show_mask and prompt.uuid in shapes:
            place = screen.handle(shapes[prompt.uuid])
            if place and math.dist(place, mouse) <= HANDLE_RADIUS * screen.scale:
                return index
    return None
