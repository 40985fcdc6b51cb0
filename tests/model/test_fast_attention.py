"""The attention that a training uses on a CPU: results and gradients against PyTorch's in float64."""

import pytest
import torch
import torch.nn.functional as F

from vendor_model.training import attention

CPU = torch.device("cpu")
BFLOAT16_ERROR = 0.01


@pytest.fixture
def in_bfloat16(monkeypatch):
    monkeypatch.setattr(attention, "products_dtype", lambda device: torch.bfloat16)


def inputs(rng: torch.Generator) -> list[torch.Tensor]:
    """Queries, keys and values, as layers lay them: heads last but one, turned in place."""
    shapes = ((2, 12, 3, 8), (2, 20, 3, 8), (2, 20, 3, 16))
    return [torch.randn(shape, generator=rng).bfloat16().transpose(1, 2) for shape in shapes]


def with_gradients(tensors: list[torch.Tensor], dtype: torch.dtype, **options: object) -> list[torch.Tensor]:
    """Attention, and the gradients that a fixed one of it has, in queries, keys and values."""
    leaves = [tensor.to(dtype).requires_grad_() for tensor in tensors]
    result = F.scaled_dot_product_attention(*leaves, **options)
    result.backward(torch.linspace(-1, 1, result.numel()).reshape(result.shape).to(result.dtype))
    return [result.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize(
    "options", [{}, {"scale": 0.9}, {"attn_mask": True}], ids=["plain", "scaled", "masked"]
)
def test_agrees_with_attention_in_float64(options, in_bfloat16):
    rng = torch.Generator().manual_seed(0)
    tensors = inputs(rng)
    if "attn_mask" in options:
        options = {"attn_mask": torch.rand((2, 1, 1, 20), generator=rng) < 0.5}
    expected = with_gradients(tensors, torch.float64, **options)
    with attention.fast_attention(CPU):
        found = with_gradients(tensors, torch.float32, **options)
    assert found[0].dtype == torch.bfloat16
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= BFLOAT16_ERROR * other.norm()


def test_float32_keeps_to_pytorch(monkeypatch):
    monkeypatch.setattr(attention, "products_dtype", lambda device: torch.float32)
    tensors = inputs(torch.Generator().manual_seed(0))
    expected = with_gradients(tensors, torch.float32)
    with attention.fast_attention(CPU):
        found = with_gradients(tensors, torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
