"""Train the click network as it is used: click, look, look nearer, click where it is most wrong, look again.

Each place of a batch is a session with one object of one photo. Every look of a session, at the mask that
the look before left, is a training sample (iterative training: Mahadevan et al. 2018, "Iteratively trained
interactive segmentation"; Sofiiuk et al. 2021, "Reviving iterative training with mask guidance").
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.segmentation.evidence import network_input, region_evidence
from vendor_model.segmentation.network import ClickNet
from vendor_model.segmentation.prompts import Prompts
from vendor_model.segmentation.windows import around, whole
from vendor_model.training.click_photos import ClickPhoto
from vendor_model.training.products import fast_products
from vendor_model.training.trainer import Figures

SIDES = (128, 128, 128, 128, 128, 192)
"""Of the windows that the network learns on, drawn anew each step; mostly small ones, for speed."""
CLICKS = (0.22, 0.2, 0.2, 0.16, 0.12, 0.1)
"""Share of the sessions that end after one click, after two, …"""
BOXES = 0.15
"""Share of the sessions that begin with a box."""


class Session:
    """One object being clicked: `look` at it, then take in the network's `answer`, until it is done."""

    def __init__(self, rng: np.random.Generator, photo: ClickPhoto):
        self.rng, self.photo = rng, photo
        self.truth = photo.owner == photo.targets[rng.integers(len(photo.targets))]
        self.share = np.zeros(self.truth.shape, np.float32)
        self.tone, self.flip = random_tone(rng), rng.random() < 0.5
        self.clicks = 1 + rng.choice(len(CLICKS), p=CLICKS)
        self.looked_nearer = False
        box = loose_box(rng, self.truth) if rng.random() < BOXES else None
        self.prompts = Prompts(np.zeros((0, 2), int), np.zeros(0, bool), box)
        if box is None or rng.random() < 0.4:
            self._click()
        self.evidence = region_evidence(photo.graph, self.prompts)
        self.window = whole(self.truth.shape)
        if rng.random() < (0.25 if box is None else 0.6):
            self._move(self.truth, 1.3, 5)

    def look(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The network's input (CHANNELS, side, side) and the share (side, side) that it should give."""
        photo, window, size = self.photo, self.window, (side, side)
        seen = network_input(
            photo.rgb, photo.graph.labels, self.evidence, self.prompts, self.share, window, size
        )
        seen[:3] = self.tone(seen[:3])
        way = cv2.INTER_AREA if max(window.width, window.height) >= side else cv2.INTER_LINEAR
        target = cv2.resize(self.truth[window.slices].astype(np.float32), size, interpolation=way)
        return (seen[:, :, ::-1], target[:, ::-1]) if self.flip else (seen, target)

    def answer(self, share: np.ndarray) -> bool:
        """Take in the network's share of the window; False when the session is done."""
        share = np.ascontiguousarray(share[:, ::-1]) if self.flip else share
        window = self.window
        self.share = np.zeros_like(self.share)
        self.share[window.slices] = cv2.resize(share, (window.width, window.height))
        mask = self.share > 0.5
        if not self.looked_nearer and mask.any() and self.rng.random() < 0.75:
            self.looked_nearer = True
            self._move(mask, 1.15, 2)
            return True
        if len(self.prompts.labels) >= self.clicks or not self._click():
            return False
        self.evidence = region_evidence(self.photo.graph, self.prompts)
        self.looked_nearer = self.rng.random() < 0.4
        self._move(mask, 1.2, 3)
        if self.rng.random() < 0.1:
            self.window = whole(mask.shape)
        return True

    def _move(self, mask: np.ndarray, least: float, most: float) -> None:
        margin = self.rng.uniform(least, most)
        shift = self.rng.uniform(-0.12, 0.12, 2) * (margin - 1)
        self.window = around(mask, self.prompts, margin, tuple(shift))

    def _click(self) -> bool:
        """Click into the thickest wrong region, its middle or somewhere inside; False if there is none."""
        mask = self.share > 0.5
        depths = [
            cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
            for wrong in (~self.truth & mask, self.truth & ~mask)
        ]
        positive = depths[1].max() >= depths[0].max()
        depth = depths[int(positive)]
        if depth.max() < 1:
            return False
        least = 1 if self.rng.random() < 0.6 else self.rng.uniform(0.2, 0.9)
        inside = np.argwhere(depth >= least * depth.max())
        y, x = inside[self.rng.integers(len(inside))]
        before = self.prompts
        self.prompts = Prompts(
            np.vstack([before.points, [[x, y]]]), np.append(before.labels, positive), before.box
        )
        return True


def loose_box(rng: np.random.Generator, truth: np.ndarray) -> tuple[float, float, float, float]:
    """A box about the object as an artist drags it: a little too large, seldom too small."""
    columns, rows = np.flatnonzero(truth.any(axis=0)), np.flatnonzero(truth.any(axis=1))
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]]) + 1
    slack = rng.uniform(-0.03, 0.12, (2, 2)) * (high - low)
    size = np.array(truth.shape[::-1])
    return (*(low - slack[0]).clip(0, size - 2).tolist(), *(high + slack[1]).clip(2, size).tolist())


def random_tone(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A change of an input's colours (3, h, w): brightness, contrast, tint, saturation, order."""
    gain = (rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, (3, 1, 1))).astype(np.float32)
    lift, saturation = np.float32(rng.uniform(-0.3, 0.3)), np.float32(rng.uniform(0.6, 1.2))
    order = rng.permutation(3) if rng.random() < 0.2 else np.arange(3)

    def change(color: np.ndarray) -> np.ndarray:
        grey = color.mean(axis=0, keepdims=True)
        return ((grey + saturation * (color[order] - grey)) * gain + lift).clip(-2, 2)

    return change


class Sessions:
    """Batches of looks, for ever: inputs (B, CHANNELS, side, side) and shares (B, side, side) to give."""

    def __init__(self, network: ClickNet, photos: Sequence[ClickPhoto], batch: int, seed: int):
        self.network, self.photos, self.rng = network, photos, np.random.default_rng(seed)
        self.open = [self._begin() for _ in range(batch)]

    def __iter__(self) -> "Sessions":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        side = int(self.rng.choice(SIDES))
        seen, targets = zip(*(session.look(side) for session in self.open), strict=True)
        inputs = torch.from_numpy(np.stack(seen)).contiguous(memory_format=torch.channels_last)
        return inputs, torch.from_numpy(np.stack(targets))

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Figures]:
        """The loss of the last batch; its sessions go on from what the network answers."""
        inputs, target = batch
        with fast_products(inputs.device):
            logits = self.network(inputs)
        logits = logits.float()
        shares = logits.detach().sigmoid().cpu().numpy()
        self.open = [
            session if session.answer(share) else self._begin()
            for session, share in zip(self.open, shares, strict=True)
        ]
        return click_loss(logits, target)

    def _begin(self) -> Session:
        return Session(self.rng, self.photos[self.rng.integers(len(self.photos))])


def click_loss(logits: Tensor, target: Tensor) -> tuple[Tensor, Figures]:
    """Cross entropy, heavier where the object is small, and 1 - soft IoU. logits, target: (B, h, w)."""
    share = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    overlap = (share * target).sum((1, 2))
    soft_iou = (overlap + 1) / ((share + target).sum((1, 2)) - overlap + 1)
    both = ((share > 0.5) & (target > 0.5)).sum((1, 2)) + 1
    iou = both / (((share > 0.5) | (target > 0.5)).sum((1, 2)) + 1)
    loss = 0.4 * entropy / (target.mean((1, 2)) + 0.1) + 1 - soft_iou
    return loss.mean(), {"iou": iou.mean(), "entropy": entropy.mean()}
