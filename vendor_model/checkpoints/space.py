"""Room on the disk: asked for before large files are written, and what to say when it runs out."""

import errno
import shutil
from pathlib import Path

from vendor_model.errors import CheckpointError

SPARE_BYTES = 100_000_000
GIGABYTE = 1e9
FULL = {errno.ENOSPC, errno.EDQUOT}


def check_space(folder: Path, needed: int) -> None:
    """Raises CheckpointError when the disk of a folder has no room for so many bytes and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise CheckpointError(
            f"The disk of {folder} has {free / GIGABYTE:.1f} GB left and "
            f"{(needed + SPARE_BYTES) / GIGABYTE:.1f} GB are needed: free some space and try again."
        )


def disk_error(path: Path, error: OSError) -> CheckpointError:
    """What to tell of an error while something was written to a path."""
    if error.errno in FULL:
        return CheckpointError(f"The disk of {path} ran full: free some space and try again.")
    return CheckpointError(
        f"{path} cannot be written ({error.strerror or error}): "
        "check its permissions, or choose another folder."
    )
