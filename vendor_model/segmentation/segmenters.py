"""What every segmenter does, and the one place where one is chosen."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vendor_model.types import Progress


@dataclass(frozen=True)
class Proposal:
    """An object that was found without clicks. mask: (H, W) bool; score: 0..1, how sure the segmenter is."""

    mask: np.ndarray
    score: float


class ClickSegmenter(Protocol):
    """Masks of one photo at a time. Pixels count from the top left corner, x to the right, y down."""

    def set_photo(self, rgb: np.ndarray) -> None:
        """rgb: (H, W, 3) uint8 sRGB. To be called before the others; what is slow is done here, once."""

    def mask(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        box: tuple[float, float, float, float] | None = None,
    ) -> np.ndarray:
        """(H, W) bool, True on the object; the same prompts give the same mask.

        points: (P, 2) float32 x, y in pixels; labels: (P,) bool, True for a click on the object; box: left,
        top, right, bottom around it. Raises MaskError.
        """

    def find_objects(self, text: str, progress: Progress) -> list[Proposal]:
        """Every object of the photo, the surest first; with a text, every instance of what it names.

        Raises MaskError when this segmenter cannot do that.
        """


def load_segmenter(model: str = "") -> ClickSegmenter:
    """The segmenter with the weights in a folder, or under a Hugging Face id that is on this disk already.

    model: "" for the embedded one. Raises CheckpointError; nothing is downloaded.
    """
    if model:
        from vendor_model.segmentation.sam import SamSegmenter  # imports transformers, seconds

        return SamSegmenter.load(model)
    from vendor_model.segmentation.embedded import EmbeddedSegmenter

    return EmbeddedSegmenter()
