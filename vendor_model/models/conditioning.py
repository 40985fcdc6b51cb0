"""Condition tokens: what the flow models see of photo, mask and point map (spec geometry.md §3)."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.dinov2 import DinoV2, EncoderBlock
from vendor_model.models.layers import exactly

IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet, as DINOv2 was trained
IMAGE_STD = (0.229, 0.224, 0.225)


class DinoEmbedder(nn.Module):
    """Image or mask to DINOv2 tokens (spec §3.1).

    (B, 3 or 1, H, W) in 0..1 -> (B, T, C): class and patch tokens after the final norm; with
    `prenorm_features` (stage 2) all tokens, registers included, under a norm without parameters.
    """

    def __init__(
        self,
        backbone: DinoV2,
        input_size: int,
        normalize_images: bool = True,
        prenorm_features: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.embed_dim = backbone.embed_dim
        self.input_size = input_size
        self.prenorm_features = prenorm_features
        mean, std = (IMAGE_MEAN, IMAGE_STD) if normalize_images else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        side = self.input_size
        resized = F.interpolate(image, size=(side, side), mode="bilinear", align_corners=False)
        normalised = (resized.expand(-1, 3, -1, -1) - self.mean) / self.std
        tokens = self.backbone.tokens(normalised)
        if self.prenorm_features:
            tokens = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-5)
        else:
            tokens = self.backbone.norm(tokens)
            first_patch = 1 + self.backbone.num_register_tokens
            tokens = torch.cat([tokens[:, :1], tokens[:, first_patch:]], dim=1)
        return tokens.to(image.dtype)


class PointPatchEmbedder(nn.Module):
    """Point map to one token a window (spec §3.2).

    (B, 3, H, W), any coordinate not finite = no point -> (B, (input_size / patch_size)², embed_dim).
    """

    def __init__(
        self,
        embed_dim: int,
        input_size: int,
        patch_size: int,
        remap_output: str = "linear",
        num_heads: int = 16,
        mlp_ratio: float = 2.0,
    ):
        super().__init__()
        self.embed_dim = embed_dim
        self.input_size = input_size
        self.patch_size = patch_size
        self.remap = REMAPS[remap_output]
        windows = input_size // patch_size
        self.point_proj = nn.Linear(3, embed_dim)
        self.invalid_xyz_token = nn.Parameter(torch.zeros(embed_dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, 1 + patch_size**2, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, windows, windows))
        self.blocks = nn.ModuleList([EncoderBlock(embed_dim, num_heads, mlp_ratio, layer_scale=False)])
        for parameter in (self.invalid_xyz_token, self.cls_token, self.pos_embed_window, self.pos_embed):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, pointmap: Tensor) -> Tensor:
        points = resize_points(pointmap, self.input_size)
        valid = points.isfinite().all(dim=-1, keepdim=True)
        # Zeros keep the gradient of the projection finite; the token replaces projection and bias.
        features = exactly(self.point_proj, self.remap(points).where(valid, 0.0))
        features = features.where(valid, self.invalid_xyz_token)
        window, count = self.patch_size, self.input_size // self.patch_size
        windows = features.unflatten(2, (count, window)).unflatten(1, (count, window))
        windows = windows.transpose(2, 3).reshape(-1, window**2, self.embed_dim)
        tokens = torch.cat([self.cls_token.expand(len(windows), -1, -1), windows], dim=1)
        tokens = tokens + self.pos_embed_window
        for block in self.blocks:
            tokens = block(tokens)
        tokens = tokens[:, 0].unflatten(0, (len(pointmap), count**2))
        return tokens + self.pos_embed.flatten(2).transpose(1, 2)


def resize_points(pointmap: Tensor, size: int) -> Tensor:
    """Nearest resize, invalid points kept: (B, 3, H, W) -> (B, size, size, 3)."""
    return F.interpolate(pointmap, size=(size, size), mode="nearest").permute(0, 2, 3, 1)


def _perspective(points: Tensor, depth: Tensor, log_depth: Tensor) -> Tensor:
    return torch.cat([points[..., :2] / depth, log_depth], dim=-1)


REMAPS = {
    "linear": lambda points: points,
    "sinh": torch.asinh,
    "exp": lambda points: _perspective(points, 1 + points[..., 2:], points[..., 2:].log1p()),
    "exp_disparity": lambda points: _perspective(points, points[..., 2:], points[..., 2:].log()),
    "sinh_exp": lambda points: torch.cat(
        [points[..., :2].asinh(), points[..., 2:].clamp(min=1e-8).log()], dim=-1
    ),
}
"""How a point map's coordinates enter its embedder, by the configuration's name (spec §3.2)."""


SILU_POWER = 0.356
"""Mean square of silu(x) for standard normal x."""


class SwiGLU(nn.Module):
    """w2(silu(w1 x) ⊙ w3 x), without biases; the hidden width follows the output's (spec §3.3)."""

    def __init__(self, in_channels: int, out_channels: int, multiplier: float):
        super().__init__()
        hidden = int(2 * int(multiplier * out_channels) / 3)
        hidden = -(-hidden // 256) * 256
        self.w1 = nn.Linear(in_channels, hidden, bias=False)
        self.w2 = nn.Linear(hidden, out_channels, bias=False)
        self.w3 = nn.Linear(in_channels, hidden, bias=False)
        # Unit variance in, unit variance out: tokens that begin small are heard late by the flow model.
        for gate in (self.w1, self.w3):
            nn.init.normal_(gate.weight, std=in_channels**-0.5)
        nn.init.normal_(self.w2.weight, std=(hidden * SILU_POWER) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class EmbedderFuser(nn.Module):
    """All inputs' tokens in one sequence (spec §3.3).

    `embedder_list`: (embedder, [(input name, group), ...]) pairs; each embedder has `embed_dim` and
    maps its inputs to (B, T, embed_dim). The order of tokens is the order of that list.
    `force_drop_modalities`: names of inputs whose tokens always count as zeros.
    """

    def __init__(
        self,
        embedder_list: Sequence[tuple[nn.Module, Sequence[tuple[str, str]]]],
        projection_net_hidden_dim_multiplier: float = 4.0,
        force_drop_modalities: Collection[str] = (),
    ):
        super().__init__()
        self.dropped = frozenset(force_drop_modalities)
        embedders = [embedder for embedder, _ in embedder_list]
        inputs = [
            (name, position, group)
            for position, (_, named) in enumerate(embedder_list)
            for name, group in named
        ]
        groups = list(dict.fromkeys(group for _, _, group in inputs))
        self._inputs = {name: (position, groups.index(group)) for name, position, group in inputs}
        self.embed_dim = max(embedder.embed_dim for embedder in embedders)
        # The released table has a last row that no group uses.
        self.idx_emb = nn.Parameter(torch.empty(len(groups) + 1, self.embed_dim).normal_(std=0.02))
        self.module_list = nn.ModuleList(embedders)
        self.projection_nets = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(embedder.embed_dim, eps=1e-5),
                SwiGLU(embedder.embed_dim, self.embed_dim, projection_net_hidden_dim_multiplier),
            )
            for embedder in embedders
        )

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in the order of their tokens."""
        return list(self._inputs)

    def tokens(self, name: str, value: Tensor) -> Tensor:
        """Finished tokens of one input, to be kept where several objects share it: (B, T, C)."""
        position, group = self._inputs[name]
        return self.projection_nets[position](self.module_list[position](value)) + self.idx_emb[group]

    def fuse(self, tokens: Mapping[str, Tensor], drop: Collection[str] = ()) -> Tensor:
        """Join the tokens of all inputs, those named in `drop` as zeros too: (B, sum of T, C)."""
        silent = self.dropped.union(drop)
        return torch.cat(
            [torch.zeros_like(tokens[name]) if name in silent else tokens[name] for name in self.input_names],
            dim=1,
        )

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        drop: Collection[str] = (),
        known: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> Tensor:
        """Inputs by name (others are ignored) to condition tokens: (B, sum of T, C).

        known: finished tokens of some inputs, which are not looked at again.
        """
        made = {name: self.tokens(name, inputs[name]) for name in self.input_names if name not in known}
        return self.fuse(made | dict(known), drop)
