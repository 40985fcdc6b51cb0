"""Masks from clicks: the photo's regions once per photo, two looks of the click network per click."""

import cv2
import numpy as np
import torch

from vendor_model.segmentation.evidence import network_input, region_evidence
from vendor_model.segmentation.network import STRIDE, load_network
from vendor_model.segmentation.prompts import Prompts, check_prompts, correct, honour
from vendor_model.segmentation.regions import LONGEST_SIDE, region_graph
from vendor_model.segmentation.windows import Window, around, whole

PIXELS = 256 * 256
"""About so many pixels the network looks at, however large the window is."""
KEPT = 16
"""Answers to earlier clicks that are kept, for the next click goes on from them."""
MARGINS = (2.0, 1.4)
"""Sides of the two looks' windows, in sides of the mask so far."""


class Segmenter:
    """The mask of the object that is clicked; keeps the photo's regions and the last answers."""

    def set_photo(self, rgb: np.ndarray) -> None:
        """rgb: (H, W, 3) uint8. To be called before `mask`, once per photo."""
        self._size = rgb.shape[:2]
        shrink = min(1.0, LONGEST_SIDE / max(self._size))
        width, height = (max(1, round(side * shrink)) for side in self._size[::-1])
        self._rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        self._graph = region_graph(self._rgb)
        self._answers: dict[tuple, np.ndarray] = {}

    def mask(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        box: tuple[float, float, float, float] | None = None,
    ) -> np.ndarray:
        """(H, W) bool, True on the object; the same prompts give the same mask.

        points: (P, 2) float32 x, y in pixels from the top left corner. labels: (P,) bool, True for a
        click on the object, False for one beside it; in the order of clicking, for each corrects the mask
        of those before it: one on the object only adds, one beside it only takes away. box: left, top,
        right, bottom around the object; nothing outside it is taken. Raises MaskError.
        """
        points, labels = np.asarray(points, np.float64).reshape(-1, 2), np.asarray(labels, bool).reshape(-1)
        check_prompts(points, labels, box, self._size)
        height, width = self._graph.labels.shape
        scale = np.array([width / self._size[1], height / self._size[0]])
        pixels = np.minimum((points * scale).astype(int), (width - 1, height - 1))
        if box is not None:
            box = tuple((np.reshape(box, (2, 2)) * scale).ravel().tolist())
        prompts = Prompts(pixels, labels, box)
        begin = 0 if box is not None else int(np.argmax(labels)) + 1
        stages = [prompts.first(count) for count in range(begin, len(labels) + 1)]
        known = max((number for number, one in enumerate(stages) if one.key in self._answers), default=-1)
        share = np.zeros((height, width), np.float32) if known < 0 else self._answers[stages[known].key]
        for one in stages[known + 1 :]:
            share = self._answers[one.key] = self._answer(one, share)
        while len(self._answers) > KEPT:
            del self._answers[next(iter(self._answers))]
        mask = cv2.resize(share, self._size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        x, y = points.astype(int).T
        mask[y, x] = labels
        return mask

    def _answer(self, prompts: Prompts, before: np.ndarray) -> np.ndarray:
        """The share that each pixel is the object's after the last click, from that before it."""
        evidence, share = region_evidence(self._graph, prompts), before
        for margin in MARGINS:
            begun = (share > 0.5).any() or prompts.box is not None
            window = around(share > 0.5, prompts, margin) if begun else whole(share.shape)
            share = self._look(prompts, evidence, share, window)
        if len(prompts.labels) and before.any():
            share = correct(before, share, evidence[:, 0][self._graph.labels], prompts)
        return honour(share, self._graph.labels, prompts)

    def _look(self, prompts: Prompts, evidence: np.ndarray, share: np.ndarray, window: Window) -> np.ndarray:
        zoom = np.sqrt(PIXELS / (window.width * window.height))
        size = tuple(max(1, round(side * zoom / STRIDE)) * STRIDE for side in (window.height, window.width))
        seen = network_input(self._rgb, self._graph.labels, evidence, prompts, share, window, size)
        batch = torch.from_numpy(seen)[None].contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            logits = load_network()(batch)[0].numpy()
        logits = cv2.resize(logits, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
        y, x = np.mgrid[window.slices] + 0.5
        found = np.zeros_like(share)
        found[window.slices] = prompts.inside_box(x, y) / (1 + np.exp(-logits))
        return found
