"""Errors that the person using the model can act on.

Every message is one sentence that names the value seen, what was wanted and what to do.
Mistakes of our own code are not `UserError`s: they are assertions or built-in exceptions.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Base of every error that is shown to the artist word for word."""


class PhotoError(UserError):
    """The photo cannot be read, or is of no use."""


class MaskError(UserError):
    """A mask, or the prompts that should become one, cannot be used."""


class CheckpointError(UserError):
    """A model folder is missing, incomplete, or does not fit its configuration."""


class DownloadError(UserError):
    """A model cannot be fetched: no network, no permission, or damaged on its way."""


class EmptyReconstructionError(UserError):
    """The model found no solid shape for an object."""


@contextmanager
def exit_in_words() -> Iterator[None]:
    """End a command with the sentence of a UserError, on standard error, and status 1."""
    try:
        yield
    except UserError as error:
        sys.exit(str(error))


class Cancelled(Exception):
    """The job was cancelled; raised from a progress callback, never shown as an error."""
