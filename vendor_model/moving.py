"""Finished files and folders put in their places."""

import os
import time
from pathlib import Path

PATIENCE = 40
"""Attempts, a quarter of a second apart."""


def move(source: Path, target: Path) -> None:
    """Rename a file, over one that is there, or a folder, to where there is none.

    Windows refuses for as long as another program, most often a virus scanner, has open what has just been
    written; so it is tried again for a while. Raises OSError.
    """
    for _ in range(PATIENCE - 1):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(0.25)
    os.replace(source, target)
