"""Masks from clicks: the photo's regions once per photo, the regions that belong together per click."""

import cv2
import numpy as np

from vendor_model.segmentation.growth import grow
from vendor_model.segmentation.prompts import check_prompts, enlarge, paint
from vendor_model.segmentation.regions import LONGEST_SIDE, region_graph


class Segmenter:
    """The mask of the object that is clicked; keeps the photo's regions between clicks."""

    def set_photo(self, rgb: np.ndarray) -> None:
        """rgb: (H, W, 3) uint8. To be called before `mask`, once per photo."""
        self._size = rgb.shape[:2]
        shrink = min(1.0, LONGEST_SIDE / max(self._size))
        width, height = (max(1, round(side * shrink)) for side in self._size[::-1])
        self._graph = region_graph(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))

    def mask(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        box: tuple[float, float, float, float] | None = None,
    ) -> np.ndarray:
        """(H, W) bool, True on the object; the same prompts give the same mask.

        points: (P, 2) float32 x, y in pixels from the top left corner. labels: (P,) bool, True for a
        click on the object, False for one beside it. box: left, top, right, bottom around the object;
        nothing outside it is taken, and without a positive click its middle is one. Raises MaskError.
        """
        points, labels = np.asarray(points, np.float64).reshape(-1, 2), np.asarray(labels, bool).reshape(-1)
        check_prompts(points, labels, box, self._size)
        graph = self._graph
        height, width = graph.labels.shape
        scale = np.array([width / self._size[1], height / self._size[0]])
        allowed = None
        if box is not None:
            corners = np.array(box, np.float64).reshape(2, 2)
            allowed = (
                (graph.centers + 0.5 >= corners[0] * scale) & (graph.centers + 0.5 < corners[1] * scale)
            ).all(axis=1)
            if not labels.any():
                middle = corners.clip(0, self._size[::-1]).mean(axis=0)
                points, labels = np.vstack([points, middle]), np.append(labels, True)
        pixels = np.minimum((points * scale).astype(int), (width - 1, height - 1))
        positive, negative = pixels[labels], pixels[~labels]
        chosen = grow(
            graph,
            graph.labels[positive[:, 1], positive[:, 0]],
            graph.labels[negative[:, 1], negative[:, 0]],
            allowed,
        )
        return enlarge(paint(chosen, graph.labels, positive, negative), self._size)
