"""DINOv2 vision transformer, with or without register tokens (spec geometry.md §3.1, moge.md §2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-6


class Attention(nn.Module):
    """Self-attention over all tokens, packed qkv laid out (3, heads, channels): (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, channels: int, ratio: float):
        super().__init__()
        hidden = int(channels * ratio)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """One learned factor per channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class EncoderBlock(nn.Module):
    """Pre-norm transformer block: (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, num_heads: int, mlp_ratio: float, layer_scale: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = Attention(channels, num_heads)
        self.ls1 = LayerScale(channels) if layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = Mlp(channels, mlp_ratio)
        self.ls2 = LayerScale(channels) if layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Image to one token a patch, row-major: (B, 3, H, W) -> (B, H/p · W/p, C)."""

    def __init__(self, patch_size: int, channels: int):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, patch_size, stride=patch_size)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """Images (B, 3, H, W), already normalised, to tokens [class, registers, patches].

    `img_size` is the side the stored position table belongs to. For another patch grid the table is
    resampled bicubically: to the grid's size where `interpolate_offset` is 0, else by the scale
    factors (grid + offset) / table, which give different numbers (moge.md §2).
    """

    def __init__(
        self,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        num_register_tokens: int = 0,
        interpolate_antialias: bool = False,
        interpolate_offset: float = 0.1,
    ):
        super().__init__()
        self.patch_size = patch_size
        self.embed_dim = embed_dim
        self.num_register_tokens = num_register_tokens
        self.interpolate_antialias = interpolate_antialias
        self.interpolate_offset = interpolate_offset
        self.table_side = img_size // patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        if num_register_tokens:
            self.register_tokens = nn.Parameter(torch.zeros(1, num_register_tokens, embed_dim))
        # Unused here, but part of every released checkpoint.
        self.mask_token = nn.Parameter(torch.zeros(1, embed_dim), requires_grad=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.table_side**2 + 1, embed_dim))
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        self.blocks = nn.ModuleList(
            EncoderBlock(embed_dim, num_heads, mlp_ratio, layer_scale=True) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=NORM_EPS)
        self.apply(_initialise)
        for parameter in (self.cls_token, self.pos_embed, *self._registers()):
            nn.init.trunc_normal_(parameter, std=0.02)

    def tokens(self, image: Tensor) -> Tensor:
        """All tokens before the final norm: (B, 3, H, W) -> (B, 1 + registers + patches, C)."""
        tokens = self._embed(image)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def intermediate_layers(self, image: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """Patch tokens of the named blocks, each through the final norm: list of (B, patches, C)."""
        tokens = self._embed(image)
        layers = {}
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in indices:
                layers[index] = self.norm(tokens)[:, 1 + self.num_register_tokens :]
        return [layers[index] for index in indices]

    def position_embedding(self, grid: tuple[int, int]) -> Tensor:
        """Positions of the class token and a grid of (rows, columns): (1, 1 + rows · columns, C)."""
        side = self.table_side
        if grid == (side, side):
            return self.pos_embed
        table = self.pos_embed[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
        if self.interpolate_offset:
            target = {"scale_factor": tuple((length + self.interpolate_offset) / side for length in grid)}
        else:
            target = {"size": grid}
        table = F.interpolate(table, mode="bicubic", antialias=self.interpolate_antialias, **target)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).transpose(1, 2)], dim=1)

    def _embed(self, image: Tensor) -> Tensor:
        grid = (image.shape[-2] // self.patch_size, image.shape[-1] // self.patch_size)
        patches = self.patch_embed(image)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = tokens + self.position_embedding(grid)
        # Registers carry no position, so they enter after it was added.
        registers = [register.expand(len(patches), -1, -1) for register in self._registers()]
        return torch.cat([tokens[:, :1], *registers, tokens[:, 1:]], dim=1)

    def _registers(self) -> list[nn.Parameter]:
        return [self.register_tokens] if self.num_register_tokens else []


def _initialise(module: nn.Module) -> None:
    # By width, not DINOv2's fixed deviation, which leaves the blocks of a narrow network all but idle.
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
