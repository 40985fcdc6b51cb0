"""The click network: from a window of the photo and what the clicks say about it to each pixel's share.

A U-Net (Ronneberger et al. 2015) small enough for a CPU. Beside the colours it sees the clicks, the mask so
far and the classical evidence of `evidence.py`, which looks the same on a photo as on the generated pictures
that it was trained on.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vendor_model.errors import CheckpointError
from vendor_model.segmentation.evidence import CHANNELS

WEIGHTS = Path(__file__).parent / "clicks.safetensors"
"""Float16; `python -m vendor_model.training clicks` writes it."""
WIDTHS = (24, 48, 96, 128, 128)
"""Channels at 1/2, 1/4, … of the window's sides."""
STRIDE = 2 ** len(WIDTHS)
"""The sides of what goes in are multiples of this."""


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ClickNet(nn.Module):
    """(B, CHANNELS, h, w) float32 → (B, h, w) float32 logits that a pixel is the object's."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(_layer(a, b, 2) for a, b in pairwise((CHANNELS, *WIDTHS)))
        self.encode = nn.ModuleList(nn.Sequential(_layer(w, w), _layer(w, w)) for w in WIDTHS[1:])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.decode = nn.ModuleList(_layer(w, w) for w in WIDTHS[:-1])
        self.head = nn.Conv2d(WIDTHS[0], 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.down[0](x)]
        for down, encode in zip(self.down[1:], self.encode, strict=True):
            x = down(levels[-1])
            levels.append(x + encode(x))
        x = levels.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            fine = F.interpolate(up(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = levels.pop() + fine
            x = x + decode(x)
        return F.pixel_shuffle(self.head(x), 2)[:, 0]


@cache
def load_network() -> ClickNet:
    """The shipped network, read once. Raises CheckpointError."""
    network = ClickNet()
    try:
        network.load_state_dict(load_file(WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{WEIGHTS} cannot be read ({error}): install the add-on again.") from None
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
