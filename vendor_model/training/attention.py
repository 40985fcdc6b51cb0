"""Attention of a training that multiplies bfloat16 on a CPU, as a few matrix products."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

from vendor_model.training.products import products_dtype


def fast_attention(device: torch.device) -> AbstractContextManager:
    """Inside, attention runs as it is fastest there.

    PyTorch's fused attention is slow backwards in bfloat16 on a CPU, and its plain one converts to float32
    and back. By `_Attention` instead, a step of the geometry model takes 0.8 of the time.
    """
    in_bfloat16 = device.type == "cpu" and products_dtype(device) == torch.bfloat16
    return _MatrixAttention() if in_bfloat16 else nullcontext()


class _MatrixAttention(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (_attention if func is F.scaled_dot_product_attention else func)(*args, **(kwargs or {}))


def _attention(
    queries: Tensor, keys: Tensor, values: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """As `F.scaled_dot_product_attention`, (…, L, d), (…, S, d), (…, S, e) -> (…, L, e), in bfloat16; a mask
    is True where keys are seen, and broadcast to (…, L, S)."""
    queries, keys, values = (x.bfloat16() for x in (queries, keys, values))
    hidden = None if attn_mask is None else ~attn_mask
    return _Attention.apply(queries * (scale or queries.shape[-1] ** -0.5), keys, values, hidden)


class _Attention(torch.autograd.Function):
    """softmax(q kᵀ) v with its gradients; sums run in float32, results are rounded to bfloat16."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None
    ) -> Tensor:
        scores = queries @ keys.mT
        if hidden is not None:
            scores.masked_fill_(hidden, -torch.inf)
        shares = scores.softmax(-1)
        mixed = shares @ values
        ctx.save_for_backward(queries, keys, values, shares, mixed)
        return mixed

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values, shares, mixed = ctx.saved_tensors
        # The gradient of softmax takes the mean of its gradients from each, and that is what it mixed to.
        mean = (gradient * mixed).sum(-1, keepdim=True)
        scores = (gradient @ values.mT).sub_(mean).mul_(shares)
        return scores @ keys, scores.mT @ queries, shares.mT @ gradient, None
