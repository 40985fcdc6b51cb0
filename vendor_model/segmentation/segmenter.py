"""Masks from clicks: a random walk over the photo's regions, cut where the photo changes most.

The walk (Grady 2006, "Random walks for image segmentation") gives every region the probability to reach
a positive click before a negative one or the far background; of all its level sets the one whose rim has
the strongest contrast is the mask. A second walk knows the colours of the first mask.
"""

import cv2
import numpy as np

from vendor_model.segmentation.choice import choose_regions
from vendor_model.segmentation.prompts import check_prompts, clean, enlarge
from vendor_model.segmentation.regions import LONGEST_SIDE, region_graph


class Segmenter:
    """The mask of the object that is clicked; keeps the photo's regions between clicks."""

    def set_photo(self, rgb: np.ndarray) -> None:
        """rgb: (H, W, 3) uint8. To be called before `mask`, once per photo."""
        self._size = rgb.shape[:2]
        shrink = min(1.0, LONGEST_SIDE / max(self._size))
        width, height = (max(1, round(side * shrink)) for side in self._size[::-1])
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA) if shrink < 1 else rgb
        self._graph = region_graph(np.ascontiguousarray(small))

    def mask(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        box: tuple[float, float, float, float] | None = None,
    ) -> np.ndarray:
        """(H, W) bool, True on the object.

        points: (P, 2) float32 x, y in pixels from the top left corner. labels: (P,) bool, True for a
        click on the object, False for one beside it. box: left, top, right, bottom around the object;
        nothing outside it is taken. Raises MaskError.
        """
        height, width = self._size
        points = np.asarray(points, np.float64).reshape(-1, 2)
        labels = np.asarray(labels, bool).reshape(-1)
        check_prompts(points, labels, box, self._size)
        graph = self._graph
        small = graph.labels.shape
        scale = np.array([small[1] / width, small[0] / height])
        pixels = np.clip((points * scale).astype(int), 0, np.array(small[::-1]) - 1)
        regions = graph.labels[pixels[:, 1], pixels[:, 0]]
        outside = np.zeros(len(graph.area), bool)
        if box is not None:
            left, top, right, bottom = np.array(box) * np.tile(scale, 2)
            x, y = graph.centers.T
            outside = (x < left) | (x >= right) | (y < top) | (y >= bottom)
        chosen = choose_regions(graph, regions[labels], regions[~labels], outside, box is not None)
        return enlarge(clean(chosen[graph.labels], pixels[labels], pixels[~labels]), self._size)
