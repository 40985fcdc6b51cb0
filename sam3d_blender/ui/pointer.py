"""What the marking tool holds and hovers over, for the overlay to draw; in pixels of the photo."""

from dataclasses import dataclass

import numpy as np

from ..core.state import Box


@dataclass
class Pointer:
    """The mouse of the marking tool.

    place: where it is, (x, y), None beside the photo's editor; brush: radius of the brush, 0 for another
    tool; box: the one being dragged; hovered: the click of the active object under the mouse, by its index;
    hovers_box: whether the object's box is. stroke: uuid of the object being brushed and its (H, W) bool
    mask so far, painted in place: strokes counts how often.
    """

    place: tuple[float, float] | None = None
    brush: float = 0.0
    box: Box | None = None
    hovered: int | None = None
    hovers_box: bool = False
    stroke: tuple[str, np.ndarray] | None = None
    strokes: int = 0


pointer: Pointer | None = None
"""None while the tool does not run."""
