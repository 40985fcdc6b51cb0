"""Records on disk, written photo by photo: an evaluation that was ended goes on, and two can be compared.

A file of JSON lines: first what was evaluated, then a line a photo.
"""

import json
from pathlib import Path

import numpy as np

from vendor_model.errors import UserError
from vendor_model.moving import move

SUBJECT = ("kind", "folders", "samples", "seed", "occluded", "unseen")
"""What decides which objects were evaluated; the rest of an identity is how."""


class RecordFile:
    """identity: by name, what the figures depend on. Raises UserError when the file is of another one, or is
    no such file."""

    def __init__(self, path: Path, identity: dict[str, object]):
        self._path = path
        self._found: dict[int, list[dict]] = {}
        if path.exists():
            told, self._found = read(path)
            if told != identity:
                other = ", ".join(
                    f"{name} {told.get(name)}" for name in identity if told.get(name) != identity[name]
                )
                raise UserError(f"{path} holds figures of another evaluation ({other}): name another file.")
        lines = [identity, *({"photo": number, "objects": found} for number, found in self._found.items())]
        path.parent.mkdir(parents=True, exist_ok=True)
        # Anew, since the last line may have been cut off.
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        move(partial, path)

    def __contains__(self, photo: int) -> bool:
        return photo in self._found

    def add(self, photo: int, found: list[dict]) -> None:
        """Write the records of a photo's objects down."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"photo": photo, "objects": found}, default=_plain) + "\n")
        self._found[photo] = found

    @property
    def records(self) -> list[dict]:
        """All, in the order of their photos."""
        return [record for photo in sorted(self._found) for record in self._found[photo]]


def read(path: Path) -> tuple[dict[str, object], dict[int, list[dict]]]:
    """What was evaluated, and the records by photo. Raises UserError."""
    identity, *photos = _lines(path) or [None]
    if not isinstance(identity, dict) or not all(
        isinstance(p, dict) and {"photo", "objects"} <= {*p} for p in photos
    ):
        raise UserError(f"{path} holds no figures of an evaluation: name another file.")
    return identity, {line["photo"]: line["objects"] for line in photos}


def both(first: Path, second: Path) -> tuple[list[dict], list[dict]]:
    """The records of the objects that two files hold, in one order. Raises UserError when they are not of the
    same objects."""
    (here, found), (there, other) = read(first), read(second)
    if any(here.get(name) != there.get(name) for name in SUBJECT):
        raise UserError(f"{first} and {second} are of other objects: evaluate the same, with the same seed.")
    shared = sorted(found.keys() & other.keys())
    return tuple([record for photo in shared for record in side[photo]] for side in (found, other))


def _lines(path: Path) -> list:
    """Without the last if it was cut off."""
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): name another file.") from None


def _plain(number: np.generic) -> object:
    return number.item()
