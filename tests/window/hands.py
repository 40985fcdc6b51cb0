"""Eyes and hands for a journey through Blender's window: steps, clicks, keys, screenshots.

A journey is a generator; it yields the seconds to wait, while Blender draws and its timers run. The first
one that raises ends Blender with exit code 1.
"""

import os
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

Steps = Iterator[float]


def run(journey: Steps) -> None:
    """Run the journey from Blender's event loop, then quit."""
    bpy.context.preferences.view.show_splash = False

    def tick() -> float | None:
        try:
            return next(journey)
        except StopIteration:
            bpy.ops.wm.quit_blender()
        except Exception:
            traceback.print_exc()
            os._exit(1)  # quitting would report success
        return None

    bpy.app.timers.register(tick, first_interval=2.0)


def window() -> bpy.types.Window:
    return bpy.context.window_manager.windows[0]


def area(kind: str) -> bpy.types.Area:
    return next(area for area in window().screen.areas if area.type == kind)


def biggest_areas(count: int) -> list[bpy.types.Area]:
    """The areas that take most of the window, from right to left."""
    by_size = sorted(window().screen.areas, key=lambda area: area.width * area.height, reverse=True)
    return sorted(by_size[:count], key=lambda area: area.x, reverse=True)


def region(of: bpy.types.Area, kind: str) -> bpy.types.Region:
    return next(region for region in of.regions if region.type == kind)


def inside(of: bpy.types.Area, kind: str = "WINDOW"):
    """Context in which operators run as if the mouse were in that region."""
    return bpy.context.temp_override(window=window(), area=of, region=region(of, kind))


def show_tab(of: bpy.types.Area, category: str) -> Steps:
    """Open the sidebar at a tab. A region has its tabs only once it has been drawn."""
    of.spaces.active.show_region_ui = True
    yield from wait_until(lambda: _choose_tab(region(of, "UI"), category), 30)


def _choose_tab(sidebar: bpy.types.Region, category: str) -> bool:
    try:
        sidebar.active_panel_category = category
    except (AttributeError, TypeError):
        return False
    return sidebar.active_panel_category == category


def click(x: float, y: float, **modifiers: bool) -> Steps:
    """Left click at a place in the window, pixels from its bottom left corner."""
    x, y = round(x), round(y)
    window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 0.1
    for value in ("PRESS", "RELEASE"):
        window().event_simulate(type="LEFTMOUSE", value=value, x=x, y=y, **modifiers)
        yield 0.1


def drag(places: list[tuple[float, float]], **modifiers: bool) -> Steps:
    """Left button down at the first place, over all others, and up at the last."""
    for number, (x, y) in enumerate(places):
        x, y = round(x), round(y)
        window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y, **modifiers)
        yield 0.1
        if number == 0:
            window().event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y, **modifiers)
            yield 0.1
    window().event_simulate(type="LEFTMOUSE", value="RELEASE", x=x, y=y, **modifiers)
    yield 0.1


def point_at(x: float, y: float) -> Steps:
    """Move the mouse there."""
    window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=round(x), y=round(y))
    yield 0.2


def key(kind: str, x: float, y: float, **modifiers: bool) -> Steps:
    """Press a key while the mouse is at a place in the window."""
    for value in ("PRESS", "RELEASE"):
        window().event_simulate(type=kind, value=value, x=round(x), y=round(y), **modifiers)
        yield 0.1


def wait_until(happens: Callable[[], bool], seconds: float) -> Steps:
    """Yield until it happens; raises TimeoutError when it has not within the given time."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {happens.__name__}")
        yield 0.1


def screenshot(path: Path) -> Steps:
    """Of the whole display; Blender's own screenshot operator sees nothing in a virtual one."""
    for place in window().screen.areas:
        place.tag_redraw()
    bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    yield 0.5
    subprocess.run(["import", "-silent", "-window", "root", str(path)], check=True)
