"""Which check a golden file gets: by its metadata (`component`, `function`), else by its stem."""

from collections.abc import Callable

from parity import depth, geometry, layout, preprocessing, texture
from parity.golden import Golden

CHECKS: dict[str, Callable[[Golden], None]] = {
    **geometry.CHECKS,
    **texture.CHECKS,
    **preprocessing.CHECKS,
    **depth.CHECKS,
    **layout.CHECKS,
}


def find(golden: Golden) -> Callable[[Golden], None]:
    """The check for a file; raises LookupError for a stem that no component claims."""
    for name in (golden.metadata.get("component"), golden.metadata.get("function")):
        if name in CHECKS:
            return CHECKS[name]
    matching = [name for name in CHECKS if golden.stem == name or golden.stem.startswith(name + "_")]
    if not matching:
        raise LookupError(f"no component claims the golden {golden.stem}")
    return CHECKS[max(matching, key=len)]
