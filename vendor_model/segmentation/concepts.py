"""Every instance of what a text names: SAM 3's detector."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoTokenizer, Sam3Model

from vendor_model.segmentation.sam_weights import load_network, words_for
from vendor_model.segmentation.segmenters import Proposal

LEAST_SCORE = 0.5
"""Of an instance's probability, as SAM 3 was evaluated."""

LONGEST_TEXT = 32
"""Tokens; shorter texts are padded to it, as in training."""


class Remembered(nn.Module):
    """A module that answers the same input once: SAM 3's two halves look at a photo with one backbone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self._last = self._answer = None

    def forward(self, pixels: Tensor, **options):
        if pixels is not self._last:
            self._answer = self.module(pixels, **options)
            self._last = pixels
        return self._answer


class ConceptFinder:
    """Finds objects by short noun phrases, such as "yellow school bus"."""

    def __init__(self, source: str, backbone: Remembered, device: torch.device):
        """source: of `SamWeights`. backbone: of the network for clicks. Raises CheckpointError."""
        with words_for(source):
            self._tokens = AutoTokenizer.from_pretrained(
                source, local_files_only=True, trust_remote_code=False
            )
            network = load_network(Sam3Model, source)
        network.vision_encoder.backbone = backbone  # before its own goes to the device, too
        self._network = network.to(device)

    @torch.inference_mode()
    def find(self, pixels: Tensor, text: str, size: tuple[int, int]) -> list[Proposal]:
        """pixels: (1, 3, side, side), the normalised photo. size: (height, width) of the photo in pixels."""
        words = self._tokens(
            text, padding="max_length", truncation=True, max_length=LONGEST_TEXT, return_tensors="pt"
        ).to(pixels.device)
        seen = self._network.get_vision_features(pixels)
        found = self._network(
            vision_embeds=seen, input_ids=words.input_ids, attention_mask=words.attention_mask
        )
        scores = (found.pred_logits.sigmoid() * found.presence_logits.sigmoid())[0]
        order = [index for index in scores.argsort(descending=True).tolist() if scores[index] > LEAST_SCORE]
        masks = (
            F.interpolate(found.pred_masks[:, [index]].sigmoid(), size, mode="bilinear")[0, 0] > 0.5
            for index in order
        )
        return [
            Proposal(mask.cpu().numpy(), float(scores[index]))
            for index, mask in zip(order, masks, strict=True)
            if mask.any()
        ]
