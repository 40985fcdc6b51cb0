"""MoGe v1: a photo to an affine-invariant point map and a validity map (spec moge.md)."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.focal import recover_focal_shift, view_plane_uv
from vendor_model.models.dinov2 import DinoV2

ENCODERS = {
    "dinov2_vitl14": {"img_size": 518, "embed_dim": 1024, "depth": 24, "num_heads": 16},
}
PATCH_SIZE = 14
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class ResidualConvBlock(nn.Module):
    """Two pre-activated 3×3 convolutions beside an identity: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, channels),
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 3, padding=1, padding_mode="replicate"),
            nn.GroupNorm(max(hidden // 32, 1), hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 3, padding=1, padding_mode="replicate"),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Head(nn.Module):
    """Feature levels of the encoder to the raw point map (3 channels) and validity (1), spec moge.md §3."""

    def __init__(
        self,
        dim_in: int,
        levels: int,
        dim_proj: int,
        dim_upsample: Sequence[int],
        dim_times_res_block_hidden: int,
        num_res_blocks: int,
        last_conv_channels: int,
        last_conv_size: int,
    ):
        super().__init__()
        self.projects = nn.ModuleList(nn.Conv2d(dim_in, dim_proj, 1) for _ in range(levels))
        widths = [dim_proj, *dim_upsample]
        self.upsample_blocks = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(
                    nn.ConvTranspose2d(before + 2, after, 2, stride=2),
                    nn.Conv2d(after, after, 3, padding=1, padding_mode="replicate"),
                ),
                *(
                    ResidualConvBlock(after, after * dim_times_res_block_hidden)
                    for _ in range(num_res_blocks)
                ),
            )
            for before, after in pairwise(widths)
        )
        self.output_block = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[-1] + 2, last_conv_channels, 3, padding=1, padding_mode="replicate"),
                nn.ReLU(),
                nn.Conv2d(
                    last_conv_channels,
                    channels,
                    last_conv_size,
                    padding=last_conv_size // 2,
                    padding_mode="replicate",
                ),
            )
            for channels in (3, 1)
        )

    def forward(self, levels: Sequence[Tensor], grid: tuple[int, int], size: tuple[int, int]) -> list[Tensor]:
        """levels: (B, rows · columns, C) each; grid: (rows, columns); size: (height, width) of the output.

        Returns (B, 3, *size) and (B, 1, *size).
        """
        aspect = size[1] / size[0]
        x = sum(
            project(level.transpose(1, 2).unflatten(2, grid))
            for project, level in zip(self.projects, levels, strict=True)
        )
        for block in self.upsample_blocks:
            x = block(_with_uv(x, aspect))
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        x = _with_uv(x, aspect)
        return [block(x) for block in self.output_block]


class MoGe(nn.Module):
    """The point-map model. Arguments are the keys of the checkpoint's `model_config`.

    encoder: a name in ENCODERS or the arguments of DinoV2 themselves. intermediate_layers: how many of
    the encoder's last blocks are used, or their indices. trained_area_range: pixels of the images seen
    in training, smallest and largest; inference runs at the largest. output_mask and split_head are
    written in every checkpoint and are always true for this architecture.
    """

    def __init__(
        self,
        encoder: str | Mapping = "dinov2_vitl14",
        intermediate_layers: int | Sequence[int] = 4,
        dim_proj: int = 512,
        dim_upsample: Sequence[int] = (256, 128, 64),
        dim_times_res_block_hidden: int = 2,
        num_res_blocks: int = 2,
        remap_output: str = "exp",
        trained_area_range: Sequence[float] = (250000, 500000),
        last_conv_channels: int = 32,
        last_conv_size: int = 1,
        output_mask: bool = True,
        split_head: bool = True,
    ):
        super().__init__()
        if remap_output != "exp" or not (output_mask and split_head):
            raise ValueError(
                f"remap_output={remap_output!r}, output_mask={output_mask}, split_head={split_head}: "
                "only MoGe v1 with exp, true and true is supported"
            )
        sizes = ENCODERS[encoder] if isinstance(encoder, str) else encoder
        self.backbone = DinoV2(**{"patch_size": PATCH_SIZE, **sizes})
        depth = len(self.backbone.blocks)
        self.intermediate_layers = (
            list(range(depth - intermediate_layers, depth))
            if isinstance(intermediate_layers, int)
            else list(intermediate_layers)
        )
        self.head = Head(
            self.backbone.embed_dim,
            len(self.intermediate_layers),
            dim_proj,
            dim_upsample,
            dim_times_res_block_hidden,
            num_res_blocks,
            last_conv_channels,
            last_conv_size,
        )
        self.num_tokens = int(trained_area_range[1] // self.backbone.patch_size**2)
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor, num_tokens: int | None = None) -> tuple[Tensor, Tensor]:
        """Differentiable raw prediction, up to a depth shift and a scale.

        image: (B, 3, H, W) in 0..1; num_tokens: about how many patches the encoder sees. Returns points
        (B, H, W, 3), OpenCV axes, and validity (B, H, W), valid above 0.5 (no sigmoid).
        """
        photo_size, patch = image.shape[-2:], self.backbone.patch_size
        size = self.working_size(photo_size, num_tokens or self.num_tokens)
        grid = (size[0] // patch, size[1] // patch)
        # On the CPU, because antialiased resizing is missing on some devices.
        image = F.interpolate(image.cpu(), size, mode="bicubic", align_corners=False, antialias=True)
        image = (image.to(self.image_mean) - self.image_mean) / self.image_std
        encoder_size = (grid[0] * patch, grid[1] * patch)
        image = F.interpolate(image.cpu(), encoder_size, mode="bilinear", align_corners=False, antialias=True)
        levels = self.backbone.intermediate_layers(image.to(self.image_mean), self.intermediate_layers)
        points, validity = (
            F.interpolate(output, photo_size, mode="bilinear", align_corners=False)
            for output in self.head(levels, grid, size)
        )
        xy, log_z = points.permute(0, 2, 3, 1).split([2, 1], dim=-1)
        z = log_z.exp()
        return torch.cat([xy * z, z], dim=-1), validity[:, 0]

    @torch.no_grad()
    def infer(
        self,
        image: Tensor,
        focal: float | None = None,
        force_projection: bool = False,
        num_tokens: int | None = None,
    ) -> tuple[Tensor, float]:
        """Points of one photo as its camera sees them, and the focal length in half image diagonals.

        image: (3, H, W) in 0..1; focal: if it is known; force_projection: keep only the depths and put
        each point on the ray of its pixel. Returns points (H, W, 3), OpenCV axes, +inf in all three
        where invalid (spec moge.md §4).
        """
        points, validity = (output[0] for output in self(image[None], num_tokens))
        valid = (validity > 0.5) & points.isfinite().all(dim=-1)
        focal, shift = recover_focal_shift(points, valid, focal)
        xy, z = points.split([2, 1], dim=-1)
        z = z + shift
        if force_projection:
            height, width = image.shape[-2:]
            xy = view_plane_uv(width, height, device=z.device) / focal * z
        return torch.cat([xy, z], dim=-1).where(valid[..., None], torch.inf), focal

    def working_size(self, photo_size: Sequence[int], num_tokens: int) -> tuple[int, int]:
        """(height, width) of about num_tokens patches in the photo's aspect, at least one patch each way."""
        height, width = photo_size
        patch = self.backbone.patch_size
        factor = math.sqrt(num_tokens * patch**2 / (height * width))
        return max(int(height * factor), patch), max(int(width * factor), patch)


def _with_uv(x: Tensor, aspect: float) -> Tensor:
    """Append the two view-plane coordinates of each pixel: (B, C, H, W) -> (B, C + 2, H, W)."""
    uv = view_plane_uv(x.shape[-1], x.shape[-2], aspect, x.device).to(x.dtype).permute(2, 0, 1)
    return torch.cat([x, uv.expand(len(x), -1, -1, -1)], dim=1)
