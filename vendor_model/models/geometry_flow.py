"""Mixture-of-Transformers flow over shape and pose (spec geometry.md §5).

Every latent becomes tokens. Latents that `latent_share_transformer` groups join into one stream, the
others are streams of their own; each stream has its own weights and they meet in self-attention only.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.models.layers import (
    FeedForward,
    MultiHeadRMSNorm,
    TimestepEmbedder,
    exactly,
    position_embedding_3d,
)

BLOCK_NORM_EPS = 1e-6
OUTPUT_NORM_EPS = 1e-5

Attended = tuple[Tensor, ...]
"""What queries attend to: keys and values, (B, heads, T, channels a head) each, or the condition tokens
(B, T, C) themselves."""


class Constant(NamedTuple):
    """What attention adds to every token whatever its query. value: (C,)."""

    value: Tensor


BlockContext = Attended | Constant

Context = list[dict[str, BlockContext]]
"""What every block's streams attend to, by block and stream."""


class LatentMapping(nn.Module):
    """One latent to tokens and back (spec §5.1).

    A latent of `token_len` tokens learns their positions; one with a `resolution` is that grid,
    row-major, with the fixed table of positions.
    """

    def __init__(
        self,
        model_channels: int,
        in_channels: int,
        token_len: int | None = None,
        resolution: int | None = None,
    ):
        super().__init__()
        assert (token_len is None) != (resolution is None), "a latent has a token count or a grid resolution"
        self.input_layer = nn.Linear(in_channels, model_channels)
        self.out_layer = nn.Linear(model_channels, in_channels)
        if resolution is None:
            self.pos_emb = nn.Parameter(torch.empty(token_len, model_channels).normal_(std=0.02))
        else:
            axis = torch.arange(resolution)
            grid = torch.cartesian_prod(axis, axis, axis)
            self.register_buffer("pos_emb", position_embedding_3d(grid, model_channels))

    @property
    def shape(self) -> tuple[int, int]:
        """(tokens, channels) of the latent."""
        return len(self.pos_emb), self.out_layer.out_features

    def encode(self, latent: Tensor) -> Tensor:
        return exactly(self.input_layer, latent) + self.pos_emb

    def decode(self, tokens: Tensor) -> Tensor:
        return exactly(self.out_layer, _normalise(tokens, OUTPUT_NORM_EPS))


class SelfAttention(nn.Module):
    """Joint attention of the streams (spec §5.3).

    A protected stream sees itself alone; any other sees itself and all the rest.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        latent_names: Sequence[str],
        protect_modality_list: Sequence[str],
        qk_rms_norm: bool,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.protected = frozenset(protect_modality_list)

        def norms() -> nn.ModuleDict:
            return nn.ModuleDict(
                {
                    name: MultiHeadRMSNorm(num_heads, channels // num_heads) if qk_rms_norm else nn.Identity()
                    for name in latent_names
                }
            )

        self.to_qkv = nn.ModuleDict({name: nn.Linear(channels, 3 * channels) for name in latent_names})
        self.q_rms_norm = norms()
        self.k_rms_norm = norms()
        self.to_out = nn.ModuleDict({name: nn.Linear(channels, channels) for name in latent_names})

    def forward(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        queries, keys, values = {}, {}, {}
        for name, tokens in x.items():
            q, k, v = self.to_qkv[name](tokens).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
            queries[name] = self.q_rms_norm[name](q).transpose(1, 2)
            keys[name] = self.k_rms_norm[name](k).transpose(1, 2)
            values[name] = v.transpose(1, 2)
        result = {}
        for name, query in queries.items():
            seen = (keys, values)
            if name in self.protected:
                seen = [part[name] for part in seen]
            else:
                seen = [torch.cat(list(part.values()), dim=2) for part in seen]
            attended = F.scaled_dot_product_attention(query, *seen)
            result[name] = self.to_out[name](attended.transpose(1, 2).flatten(2))
        return result


class CrossAttention(nn.Module):
    """Attention of one stream to the condition tokens."""

    def __init__(self, channels: int, ctx_channels: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(ctx_channels, 2 * channels)
        self.to_out = nn.Linear(channels, channels)

    def prepare(self, tokens: Tensor, keep: bool) -> Attended:
        """keep: make keys and values now, for all steps, and hold them; otherwise in each step anew."""
        return self._keys_values(tokens) if keep else (tokens,)

    def of_zeros(self) -> Constant:
        """Zeroed tokens all have the bias as their value, which no softmax changes (spec §5.4)."""
        return Constant(self.to_out(self.to_kv.bias.chunk(2)[1]))

    def forward(self, x: Tensor, context: Attended) -> Tensor:
        """(B · n, N, C) for a context of batch B: rows that share a condition are neighbours."""
        # Queries do not see each other, so those of one condition stand in one row: nothing is copied.
        shared = self.to_q(x.reshape(len(context[0]), -1, x.shape[-1]))
        queries = shared.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        attended = self._attend(queries, context)
        return self.to_out(attended.transpose(1, 2).flatten(2)).reshape(x.shape)

    def _keys_values(self, tokens: Tensor) -> Attended:
        return tuple(self.to_kv(tokens).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4))

    def _attend(self, queries: Tensor, context: Attended) -> Tensor:
        """Queries (B, heads, n, channels a head) -> results, shaped the same."""
        keys, values = context if len(context) == 2 else self._keys_values(*context)
        return F.scaled_dot_product_attention(queries, keys, values)


class FoldedCrossAttention(CrossAttention):
    """The same for a stream of few tokens: keys and values are never made.

    The key projection moves over to the queries and the value projection to the results, as the condition
    tokens serve all heads and blocks. The keys' bias raises all scores of a query alike: softmax drops it.
    """

    def prepare(self, tokens: Tensor, keep: bool) -> Attended:
        return (tokens,)

    def _attend(self, queries: Tensor, context: Attended) -> Tensor:
        (tokens,) = context
        to_key, to_value = self.to_kv.weight.unflatten(0, (2, self.num_heads, -1))  # (heads, head, tokens')
        folded = (queries @ to_key).flatten(1, 2).unsqueeze(1)
        seen = tokens.to(folded.dtype).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(folded, seen, seen, scale=queries.shape[-1] ** -0.5)
        bias = self.to_kv.bias.chunk(2)[1].unflatten(0, (self.num_heads, 1, -1))
        return mixed.squeeze(1).unflatten(1, (self.num_heads, -1)) @ to_value.transpose(1, 2) + bias


class MixtureBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward of all streams (spec §5.3).

    folded: the streams of so few tokens that they had better not make keys and values of the condition.
    """

    def __init__(
        self,
        channels: int,
        ctx_channels: int,
        num_heads: int,
        mlp_ratio: float,
        latent_names: Sequence[str],
        protect_modality_list: Sequence[str],
        qk_rms_norm: bool,
        folded: Collection[str] = (),
    ):
        super().__init__()
        self.norm2 = nn.ModuleDict(
            {name: nn.LayerNorm(channels, eps=BLOCK_NORM_EPS) for name in latent_names}
        )
        self.self_attn = SelfAttention(channels, num_heads, latent_names, protect_modality_list, qk_rms_norm)
        self.cross_attn = nn.ModuleDict(
            {
                name: (FoldedCrossAttention if name in folded else CrossAttention)(
                    channels, ctx_channels, num_heads
                )
                for name in latent_names
            }
        )
        self.mlp = nn.ModuleDict({name: FeedForward(channels, mlp_ratio) for name in latent_names})
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(channels, 6 * channels))

    def prepare_context(self, tokens: Tensor, keep: bool = True) -> dict[str, BlockContext]:
        return {name: attention.prepare(tokens, keep) for name, attention in self.cross_attn.items()}

    def unconditional_context(self) -> dict[str, BlockContext]:
        return {name: attention.of_zeros() for name, attention in self.cross_attn.items()}

    def forward(
        self, x: Mapping[str, Tensor], time: Tensor, context: Mapping[str, BlockContext]
    ) -> dict[str, Tensor]:
        """x: (B, N, C) by stream; time: (B or 1, C), the embedded time."""
        modulation = self.adaLN_modulation(time).unsqueeze(1).chunk(6, dim=-1)
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation
        attended = self.self_attn(
            {name: _normalise(tokens, BLOCK_NORM_EPS) * (1 + scale1) + shift1 for name, tokens in x.items()}
        )
        result = {}
        for name, tokens in x.items():
            tokens = tokens + gate1 * attended[name]
            if isinstance(context[name], Constant):
                tokens = tokens + context[name].value
            else:
                tokens = tokens + self.cross_attn[name](self.norm2[name](tokens), context[name])
            modulated = _normalise(tokens, BLOCK_NORM_EPS) * (1 + scale2) + shift2
            result[name] = tokens + gate2 * self.mlp[name](modulated)
        return result


class GeometryFlow(nn.Module):
    """Velocity of shape and pose latents; state-dict keys stand below `reverse_fn.backbone.`.

    latent_mapping: by latent name `{in_channels, token_len}` or `{in_channels, resolution}`;
    latent_share_transformer: by stream name the latents that form it, in the order of their tokens;
    protect_modality_list: streams that must not see the others; is_shortcut_model: the network is
    also told the step size.
    """

    def __init__(
        self,
        model_channels: int,
        cond_channels: int,
        num_blocks: int,
        num_heads: int,
        latent_mapping: Mapping[str, Mapping[str, int]],
        latent_share_transformer: Mapping[str, Sequence[str]],
        mlp_ratio: float = 4.0,
        qk_rms_norm: bool = True,
        is_shortcut_model: bool = True,
        protect_modality_list: Sequence[str] = ("shape",),
    ):
        super().__init__()
        shared = {name for group in latent_share_transformer.values() for name in group}
        alone = {name: [name] for name in latent_mapping if name not in shared}
        self.streams = alone | {stream: list(names) for stream, names in latent_share_transformer.items()}
        self.cond_channels = cond_channels
        self.is_shortcut_model = is_shortcut_model
        self.t_embedder = TimestepEmbedder(model_channels)
        if is_shortcut_model:
            self.d_embedder = TimestepEmbedder(model_channels)
        self.latent_mapping = nn.ModuleDict(
            {name: LatentMapping(model_channels, **sizes) for name, sizes in latent_mapping.items()}
        )
        # Folded, one step costs a stream of n tokens n · num_heads / model_channels of what making keys and
        # values costs once.
        lengths = {
            stream: sum(self.latent_mapping[name].shape[0] for name in names)
            for stream, names in self.streams.items()
        }
        folded = [stream for stream, length in lengths.items() if length * num_heads < model_channels]
        self.blocks = nn.ModuleList(
            MixtureBlock(
                model_channels,
                cond_channels,
                num_heads,
                mlp_ratio,
                list(self.streams),
                protect_modality_list,
                qk_rms_norm,
                folded,
            )
            for _ in range(num_blocks)
        )
        self._initialise()

    def latent_shapes(self, batch: int = 1) -> dict[str, tuple[int, int, int]]:
        """(batch, tokens, channels) of every latent by name."""
        return {name: (batch, *mapping.shape) for name, mapping in self.latent_mapping.items()}

    def prepare_context(self, tokens: Tensor, keep: bool = True) -> Context:
        """Condition tokens (B, T, cond_channels) to what all steps reuse (spec §11).

        keep: hold every block's keys and values, which saves the time of making them in each step.
        """
        return [block.prepare_context(tokens, keep) for block in self.blocks]

    def unconditional_context(self) -> Context:
        """Context of zeroed tokens, of any number (spec §5.4)."""
        return [block.unconditional_context() for block in self.blocks]

    def forward(
        self, latents: Mapping[str, Tensor], t: Tensor, context: Context, d: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Velocity of each latent.

        latents: (B, tokens, channels) by name; t: (B,) or (1,), time × 1000; context: of batch b where
        B = b · n, the n rows of one condition being neighbours; d: step size × 1000, shaped as t, or
        None to leave the step size out.
        """
        time = self.t_embedder(t)
        if d is not None:
            time = time + self.d_embedder(d)
        tokens = {name: mapping.encode(latents[name]) for name, mapping in self.latent_mapping.items()}
        x = {stream: torch.cat([tokens[name] for name in names], 1) for stream, names in self.streams.items()}
        for block, block_context in zip(self.blocks, context, strict=True):
            x = block(x, time, block_context)
        velocities = {}
        for stream, names in self.streams.items():
            parts = x[stream].split([tokens[name].shape[1] for name in names], dim=1)
            for name, part in zip(names, parts, strict=True):
                velocities[name] = self.latent_mapping[name].decode(part)
        return velocities

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        embedders = [self.t_embedder, *([self.d_embedder] if self.is_shortcut_model else [])]
        for embedder in embedders:
            nn.init.normal_(embedder.mlp[0].weight, std=0.02)
            nn.init.normal_(embedder.mlp[2].weight, std=0.02)
        # A new network passes its tokens through unmodulated, predicts zero and ignores the step size.
        silent = [block.adaLN_modulation[1] for block in self.blocks]
        silent += [mapping.out_layer for mapping in self.latent_mapping.values()]
        silent += [self.d_embedder.mlp[2]] if self.is_shortcut_model else []
        for layer in silent:
            nn.init.zeros_(layer.weight)


def _normalise(x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=eps)
