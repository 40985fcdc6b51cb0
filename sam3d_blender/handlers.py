"""What the add-on does when Blender undoes, redoes, loads another file or quits."""

import atexit

import bpy
from bpy.app.handlers import persistent

from . import library, marking, session
from .core.errors import ArtistError


@persistent
def _after_undo(*_):
    """Clicks are undone at once; a mask that had not arrived when its step was stored is asked for again."""
    if bpy.context.scene.sam3d.photo is None:
        return
    try:
        marking.find_masks(wait=False)
    except ArtistError as error:
        print(f"SAM 3D: {error}")


@persistent
def _before_load(*_):
    """What the jobs in hand were for is about to go."""
    session.forget()


HANDLERS = (
    (bpy.app.handlers.undo_post, _after_undo),
    (bpy.app.handlers.redo_post, _after_undo),
    (bpy.app.handlers.load_pre, _before_load),
)


def register() -> None:
    for handlers, function in HANDLERS:
        handlers.append(function)
    atexit.register(session.stop)


def unregister() -> None:
    for handlers, function in HANDLERS:
        handlers.remove(function)
    atexit.unregister(session.stop)
    library.cancel()
    session.stop()
