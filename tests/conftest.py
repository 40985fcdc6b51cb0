"""Which tests run where: `blender/` needs the bpy module, `window/` a Blender with a window."""

import os
from importlib.util import find_spec

# Before torch is imported, for the tests' own processes too: threads that wait for a busy core are slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["window"] if find_spec("bpy") else ["blender", "window"]
