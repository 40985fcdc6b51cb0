"""Which tests run where: `blender/` needs the bpy module, `window/` a Blender with a window."""

from importlib.util import find_spec

collect_ignore = ["window"] if find_spec("bpy") else ["blender", "window"]
