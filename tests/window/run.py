"""Drive a real Blender window by simulated mouse and keyboard, as an artist would, and take screenshots.

    python3 tests/window/run.py --blender blender --python .venv/bin/python --output runs/window

Needs Blender 4.2 or later with a window, the zip that build_addon.py made, a Python with the model's
packages, and, where there is no display, Xvfb. ImageMagick's `import` takes the screenshots. Exits with 0
when the whole journey in `artist.py` went as it should.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
WIDTH, HEIGHT = 1600, 900
LONGEST_JOURNEY_SECONDS = 900


@contextmanager
def display() -> Iterator[str]:
    """The present display, or a virtual one."""
    if os.environ.get("DISPLAY"):
        yield os.environ["DISPLAY"]
        return
    read_end, write_end = os.pipe()
    screen = f"{WIDTH}x{HEIGHT}x24"
    command = [
        "Xvfb",
        "-displayfd",
        str(write_end),
        "-screen",
        "0",
        screen,
        "+extension",
        "GLX",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with open(read_end) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blender", default="blender")
    parser.add_argument("--python", type=Path, required=True, help="the worker's Python")
    parser.add_argument("--output", type=Path, required=True, help="where the screenshots go")
    parser.add_argument("--journey", default="artist.py", help="the script of this folder to run")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    [extension] = (ROOT / "dist").glob("sam3d_blender-*.zip")
    with tempfile.TemporaryDirectory() as home, display() as screen:
        environment = os.environ | {
            "DISPLAY": screen,
            "HOME": home,
            "BLENDER_USER_RESOURCES": str(Path(home, "blender")),
            "SAM3D_EXTENSION": str(extension),
            "SAM3D_PYTHON": str(options.python.absolute()),
        }
        window = ["--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
        command = [options.blender, "--factory-startup", "--enable-event-simulate", *window]
        script = [
            "--python-exit-code",
            "1",
            "--python",
            FOLDER / options.journey,
            "--",
            options.output.absolute(),
        ]
        return subprocess.run(
            [*command, *script], env=environment, timeout=LONGEST_JOURNEY_SECONDS
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
