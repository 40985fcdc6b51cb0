"""The stage of the depth model."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.training.recipe import Run

DEPTH_TOKENS = (64, 161)
"""The depth model's patches a photo, from … to below …, drawn anew each step as in MoGe; fewer cost less."""


def depth(run: Run) -> None:
    """Photos to point maps whose median depth is 1.

    MoGe is trained up to an unknown scale and depth shift; both are fixed here, because a least-squares
    alignment inside the loss lets a small, briefly trained model drift to ever smaller maps.
    """
    model, rng = run.module("depth_model"), run.rng()

    def loss(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        photos, truth = batch
        photos = F.avg_pool2d(photos, 2)
        num_tokens = int(torch.randint(*DEPTH_TOKENS, (), generator=rng, device=rng.device))
        with run.half_precision():
            points, validity = model(photos, num_tokens)
        points, validity = points.float(), validity.float()
        valid = truth.isfinite().all(-1)
        median = truth[..., 2].flatten(1).nanmedian(1).values.view(-1, 1, 1, 1)
        truth = (truth * truth.new_tensor([-1, -1, 1]) / median).where(valid[..., None], 1.0)  # OpenCV axes
        distances = (points - truth).abs().sum(-1) / truth[..., 2].clamp(min=0.1)
        error = (distances.clamp(max=2.0) * valid).sum() / valid.sum().clamp(min=1)
        seen = (validity - valid.float()).square().mean()
        return error + seen, {"relative_error": error.item(), "validity": seen.item()}

    run.train("depth", model, loss, run.shards().photos(16))
