"""Segment Anything 2.1 and 3 through `transformers`: a photo is embedded once, clicks are decoded.

For clicks, SAM 3's tracker has SAM 2's interface. Pictures are prepared and masks enlarged as by
`transformers`' own processors, which would need torchvision (tests/model/test_sam.py compares them).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.device import choose_device
from vendor_model.errors import MaskError
from vendor_model.segmentation.concepts import ConceptFinder, Remembered
from vendor_model.segmentation.prompts import check_prompts
from vendor_model.segmentation.proposals import grid_points, largest_part, select
from vendor_model.segmentation.sam_weights import SamWeights, load_sam
from vendor_model.segmentation.segmenters import Proposal
from vendor_model.types import Progress

LARGEST_LOGIT = 32.0
"""To which a mask is clamped before it prompts the next one, as in SAM 2's own predictor."""

GRID_PER_SIDE, POINTS_AT_ONCE = 32, 64
"""Points along each side of the photo that are asked for objects, SAM's own number, and in one batch."""

GRID_PER_SIDE_ON_CPU, POINTS_AT_ONCE_ON_CPU = 16, 4
"""Where a point takes a tenth of a second, and larger batches fall out of the processor's cache."""

LEAST_PREDICTED_IOU = 0.8
LEAST_STABILITY = 0.95
STABILITY_OFFSET = 1.0
"""As SAM 2's automatic mask generator has them. Stability: IoU of the logits cut at plus and minus offset."""


class SamSegmenter:
    """A `segmenters.ClickSegmenter`. Each click refines the mask of the clicks before it."""

    def __init__(self, weights: SamWeights):
        self._weights = weights
        self._network = weights.network
        self._device = weights.network.device
        self._side = weights.network.config.prompt_encoder_config.image_size
        self._concepts = None
        if weights.reads:
            encoder = self._network.vision_encoder
            encoder.backbone = Remembered(encoder.backbone)

    @classmethod
    def load(cls, source: str, device: str = "auto") -> "SamSegmenter":
        """source: a folder, or a Hugging Face id whose files are on this disk. Raises CheckpointError."""
        return cls(load_sam(source, choose_device(device)))

    @torch.inference_mode()
    def set_photo(self, rgb: np.ndarray) -> None:
        """rgb: (H, W, 3) uint8. Embeds the photo; the clicks after it need only the small decoder."""
        self._size = rgb.shape[:2]
        self._pixels = self._prepare(rgb)
        self._embeddings = self._network.get_image_embeddings(self._pixels)
        self._decoded: dict[tuple, Tensor] = {}

    def mask(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        box: tuple[float, float, float, float] | None = None,
    ) -> np.ndarray:
        """(H, W) bool, see `segmenters.ClickSegmenter`. A single click has three answers, a part, a whole and
        what that belongs to; the one whose predicted IoU is largest counts. Raises MaskError."""
        points, labels = np.asarray(points, np.float64).reshape(-1, 2), np.asarray(labels, bool).reshape(-1)
        check_prompts(points, labels, box, self._size)
        clicks = tuple((x, y, label) for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True))
        return self._enlarge(self._logits(clicks, None if box is None else tuple(box)))

    def find_objects(self, text: str, progress: Progress) -> list[Proposal]:
        """See `segmenters.ClickSegmenter`; only a model with a detector reads text."""
        progress("objects", 0.0)
        return self._find_named(text) if text else self._find_by_grid(progress)

    @torch.inference_mode()
    def _prepare(self, rgb: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 → (1, 3, side, side) float32, squeezed to a square and normalised."""
        photo = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]
        square = F.interpolate(photo, (self._side, self._side), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(one).view(3, 1, 1) for one in (self._weights.mean, self._weights.std))
        return ((square / 255 - mean) / std).to(self._device)

    def _logits(self, clicks: tuple[tuple[float, float, bool], ...], box: tuple | None) -> Tensor:
        """(1, 1, h, w) of the prompts, with the mask of all but the last click as one of them.

        Remembered for the photo, so that the next click costs one pass through the decoder, and undo none.
        """
        if (clicks, box) not in self._decoded:
            earlier = clicks[:-1]
            has_mask = clicks and (box is not None or any(label for *_, label in earlier))
            before = self._logits(earlier, box) if has_mask else None
            self._decoded[clicks, box] = self._decode(clicks, box, before)
        return self._decoded[clicks, box]

    @torch.inference_mode()
    def _decode(self, clicks: tuple, box: tuple | None, before: Tensor | None) -> Tensor:
        prompts = {}
        if clicks:
            *where, label = torch.tensor(clicks, device=self._device, dtype=torch.float32).unbind(dim=-1)
            prompts["input_points"] = self._to_square(torch.stack(where, dim=-1))[None, None]
            prompts["input_labels"] = label.int()[None, None]
        if box is not None:
            corners = torch.tensor(box, device=self._device, dtype=torch.float32).view(2, 2)
            prompts["input_boxes"] = self._to_square(corners).view(1, 1, 4)
        answer = self._network(
            image_embeddings=self._embeddings,
            input_masks=before,
            multimask_output=box is None and len(clicks) == 1,
            **prompts,
        )
        best = answer.iou_scores[0, 0].argmax()
        return answer.pred_masks[:, 0, best][None].clamp(-LARGEST_LOGIT, LARGEST_LOGIT)

    def _to_square(self, points: Tensor) -> Tensor:
        """(…, 2) x, y in pixels of the photo → pixels of the network's square picture."""
        height, width = self._size
        return points * torch.tensor([self._side / width, self._side / height], device=self._device)

    @torch.inference_mode()
    def _enlarge(self, logits: Tensor) -> np.ndarray:
        """(1, 1, h, w) → (H, W) bool."""
        return (F.interpolate(logits, self._size, mode="bilinear")[0, 0] > 0).cpu().numpy()

    def _find_named(self, text: str) -> list[Proposal]:
        if not self._weights.reads:
            raise MaskError(
                f"SAM 2.1 cannot look for “{text}”: "
                "choose SAM 3, or leave the text empty to find every object."
            )
        if self._concepts is None:
            backbone = self._network.vision_encoder.backbone
            self._concepts = ConceptFinder(self._weights.source, backbone, self._device)
        return self._concepts.find(self._pixels, text, self._size)

    def _find_by_grid(self, progress: Progress) -> list[Proposal]:
        per_side, at_once = GRID_PER_SIDE, POINTS_AT_ONCE
        if self._device.type == "cpu":
            per_side, at_once = GRID_PER_SIDE_ON_CPU, POINTS_AT_ONCE_ON_CPU
        points = grid_points(self._size, per_side)
        logits, scores = [], []
        for start in range(0, len(points), at_once):
            progress("objects", start / len(points))
            for one, score in self._sure_masks(points[start : start + at_once]):
                logits.append(one)
                scores.append(score)
        small = [largest_part((one[0, 0] > 0).cpu().numpy()) for one in logits]
        kept = select(small, scores)
        return [Proposal(largest_part(self._enlarge(logits[index])), scores[index]) for index in kept]

    @torch.inference_mode()
    def _sure_masks(self, points: np.ndarray) -> list[tuple[Tensor, float]]:
        """(1, 1, h, w) logits and predicted IoU of each of the points' masks that is good and stable; each in
        memory of its own, so that the others are let go of."""
        answer = self._network(
            image_embeddings=self._embeddings,
            input_points=self._to_square(torch.from_numpy(points).to(self._device))[None, :, None],
            input_labels=torch.ones((1, len(points), 1), dtype=torch.int, device=self._device),
        )
        logits, scores = answer.pred_masks.flatten(0, 2), answer.iou_scores.flatten()
        inner, outer = ((logits > offset).sum((1, 2)) for offset in (STABILITY_OFFSET, -STABILITY_OFFSET))
        sure = (scores > LEAST_PREDICTED_IOU) & (inner > LEAST_STABILITY * outer)
        return [
            (logits[index].clone()[None, None], float(scores[index]))
            for index in sure.nonzero()[:, 0].tolist()
        ]
