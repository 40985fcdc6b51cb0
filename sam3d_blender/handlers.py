"""What the add-on does when Blender undoes, redoes, loads another file or quits."""

import atexit

import bpy
from bpy.app.handlers import persistent

from . import actions, finding, installation, library, marking, session


@persistent
def _after_undo(*_):
    """Clicks are undone at once; a mask that had not arrived when its step was stored is asked for again."""
    marking.resume()


@persistent
def _before_load(*_):
    """What the jobs in hand were for is about to go."""
    session.forget()
    actions.reconstruction = finding.search = None


@persistent
def _after_load(*_):
    """A mask that had not arrived when the file was saved is asked for again."""
    marking.resume()


HANDLERS = (
    (bpy.app.handlers.undo_post, _after_undo),
    (bpy.app.handlers.redo_post, _after_undo),
    (bpy.app.handlers.load_pre, _before_load),
    (bpy.app.handlers.load_post, _after_load),
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
    installation.cancel()
    session.stop()
