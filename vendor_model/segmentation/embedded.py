"""The segmenter that needs no weights of others."""

from vendor_model.errors import MaskError
from vendor_model.segmentation.segmenter import Segmenter
from vendor_model.segmentation.segmenters import Proposal
from vendor_model.types import Progress


class EmbeddedSegmenter(Segmenter):
    """A `segmenters.ClickSegmenter` for clicks alone: what it proposes on its own is too seldom an object."""

    def find_objects(self, text: str, progress: Progress) -> list[Proposal]:
        """Raises MaskError."""
        raise MaskError(
            "The embedded segmenter only answers clicks: choose SAM 2.1 to find every object, "
            "or SAM 3 to look for things by name."
        )
