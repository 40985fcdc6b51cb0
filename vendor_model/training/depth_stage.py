"""The stage of the depth model."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.training import distributed
from vendor_model.training.products import fast_products
from vendor_model.training.reading import read_ahead
from vendor_model.training.recipe import Run
from vendor_model.training.shards import Shards
from vendor_model.training.trainer import Figures

DEPTH_TOKENS = (25, 65)
"""The depth model's patches a photo, from … to below …."""
DEPTH_KINDS = ("isolated", "ground")
"""Scenes to learn depth from. In pasted ones nothing tells how far behind the objects their wall is."""


def depth(run: Run) -> None:
    """Photos to point maps whose median depth is 1.

    MoGe is trained up to an unknown scale and depth shift; both are fixed here, because a least-squares
    alignment inside the loss lets a small, briefly trained model drift to ever smaller maps.
    """
    model, rng = run.module("depth_model"), run.rng()
    sizes = torch.Generator().manual_seed(run.common_seed(run.seed))  # or some processes would wait
    parts = nn.ModuleDict({"depth_model": model})

    def loss(batch: dict[str, Tensor]) -> tuple[Tensor, Figures]:
        photos = batch["photos"].permute(0, 3, 1, 2).float() / 255
        photos, truth = varied(F.avg_pool2d(photos, 2), batch["maps"].float(), rng)
        with fast_products(run.device):
            points, validity = parts["depth_model"](photos, drawn_tokens(sizes))
        points, validity = points.float(), validity.float()
        valid = truth.isfinite().all(-1)
        median = truth[..., 2].flatten(1).nanmedian(1).values.view(-1, 1, 1, 1)
        truth = (truth * truth.new_tensor([-1, -1, 1]) / median).where(valid[..., None], 1.0)  # OpenCV axes
        distances = (points - truth).abs().sum(-1) / truth[..., 2].clamp(min=0.1)
        error = (distances.clamp(max=2.0) * valid).sum() / valid.sum().clamp(min=1)
        seen = (validity - valid.float()).square().mean()
        return error + seen, {"relative_error": error, "validity": seen}

    stream = partial(_stored_photos, run.shards(), distributed.part(run.recipe.depth_batch))
    run.train("depth", parts, loss, read_ahead(stream, run.readers, run.device))


def _stored_photos(shards: Shards, count: int, reader: int) -> Iterator[dict[str, Tensor]]:
    return shards.read_by(reader).photos(count, DEPTH_KINDS)


def drawn_tokens(rng: torch.Generator) -> int:
    """How many patches, drawn anew each step as in MoGe; mostly few, which cost less."""
    fewest, most = DEPTH_TOKENS
    return int(fewest + (most - fewest) * torch.rand((), generator=rng) ** 3)


def varied(photos: Tensor, points: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Photos (B, 3, H, W) in other light, half of them mirrored, as are their point maps (B, h, w, 3)."""
    draw = partial(torch.randn, generator=rng, device=rng.device)
    gain = (0.12 * draw(len(photos), 1, 1, 1) + 0.05 * draw(len(photos), 3, 1, 1)).exp()
    mirrored = (torch.rand(len(photos), generator=rng, device=rng.device) < 0.5).view(-1, 1, 1, 1)
    photos = torch.where(mirrored, photos.flip(3), photos)
    points = torch.where(mirrored, points.flip(2) * points.new_tensor([-1, 1, 1]), points)
    return (photos * gain).clamp(0, 1), points
