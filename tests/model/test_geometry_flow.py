import pytest
import torch
from torch import Tensor

from vendor_model.models.conditioning import EmbedderFuser, PointPatchEmbedder
from vendor_model.models.geometry_flow import CrossAttention, FoldedCrossAttention, GeometryFlow

CONDITION_CHANNELS = 24
LATENTS = {
    "shape": {"in_channels": 40, "resolution": 2},
    "6drotation_normalized": {"in_channels": 6, "token_len": 1},
    "translation": {"in_channels": 3, "token_len": 1},
    "scale": {"in_channels": 3, "token_len": 1},
}
SHARED = {"6drotation_normalized": ["6drotation_normalized", "translation", "scale"]}


@pytest.fixture
def flow() -> GeometryFlow:
    torch.manual_seed(3)
    flow = GeometryFlow(40, CONDITION_CHANNELS, 2, 5, LATENTS, SHARED)
    # A new network is silent; draw every weight so that each path shows.
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return flow


def noise(flow: GeometryFlow, batch: int) -> dict[str, Tensor]:
    return {name: torch.randn(shape) for name, shape in flow.latent_shapes(batch).items()}


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name in LATENTS:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-4, atol=1e-4)


def test_shape_never_depends_on_pose_but_pose_on_shape(flow):
    context = flow.prepare_context(torch.randn(1, 7, CONDITION_CHANNELS))
    time = torch.tensor([300.0])
    latents, other = noise(flow, 1), noise(flow, 1)
    velocity = flow(latents, time, context)
    other_pose = flow({**other, "shape": latents["shape"]}, time, context)
    other_shape = flow({**latents, "shape": other["shape"]}, time, context)
    assert torch.equal(velocity["shape"], other_pose["shape"])
    assert not torch.allclose(velocity["scale"], other_shape["scale"])
    assert not torch.allclose(velocity["scale"], other_pose["scale"])


def test_inputs_that_a_configuration_drops_count_as_zeros():
    maps = [("pointmap", "cropped"), ("rgb_pointmap", "full")]
    torch.manual_seed(0)
    fuser = EmbedderFuser(
        [(PointPatchEmbedder(8, 4, 2, num_heads=2), maps)], force_drop_modalities=["pointmap"]
    )
    inputs = {name: torch.randn(1, 3, 4, 4) for name, _ in maps}
    hidden, seen = fuser(inputs).chunk(2, dim=1)
    assert not hidden.any() and seen.abs().min() > 0
    assert not fuser(inputs, drop=["rgb_pointmap"]).any()


@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("form", [CrossAttention, FoldedCrossAttention])
def test_every_form_of_cross_attention_is_softmax_attention_to_the_tokens(form, keep, length):
    torch.manual_seed(0)
    channels, heads = 12, 3
    attention = form(channels, CONDITION_CHANNELS, heads)
    torch.nn.init.normal_(attention.to_kv.bias)
    x, tokens = torch.randn(2, 5, channels), torch.randn(2, length, CONDITION_CHANNELS)

    expected = torch.empty(2, 5, channels)
    keys, values = attention.to_kv(tokens).chunk(2, dim=-1)
    for head in torch.arange(channels).chunk(heads):
        weights = attention.to_q(x)[..., head] @ keys[..., head].mT / len(head) ** 0.5
        expected[..., head] = weights.softmax(-1) @ values[..., head]
    expected = attention.to_out(expected)

    torch.testing.assert_close(attention(x, attention.prepare(tokens, keep)), expected)


def test_zeroed_tokens_add_a_constant():
    torch.manual_seed(0)
    attention = CrossAttention(12, CONDITION_CHANNELS, 3)
    torch.nn.init.normal_(attention.to_kv.bias)
    zeroed = attention.prepare(torch.zeros(1, 7, CONDITION_CHANNELS), True)
    expected = attention.of_zeros().value.expand(1, 5, -1)
    torch.testing.assert_close(attention(torch.randn(1, 5, 12), zeroed), expected)


def test_the_stream_of_few_tokens_is_folded(flow):
    forms = {name: type(attention) for name, attention in flow.blocks[0].cross_attn.items()}
    assert forms == {"shape": CrossAttention, "6drotation_normalized": FoldedCrossAttention}


def test_unconditional_context_equals_zeroed_tokens(flow):
    zeroed = flow.prepare_context(torch.zeros(2, 7, CONDITION_CHANNELS))
    latents, time = noise(flow, 2), torch.tensor([0.0, 800.0])
    assert_same(flow(latents, time, flow.unconditional_context()), flow(latents, time, zeroed))


def test_several_draws_share_a_condition_as_if_it_were_repeated(flow):
    tokens = torch.randn(2, 7, CONDITION_CHANNELS)
    latents, time = noise(flow, 6), torch.linspace(0, 1000, 6)
    repeated = flow.prepare_context(tokens.repeat_interleave(3, dim=0))
    assert_same(flow(latents, time, flow.prepare_context(tokens)), flow(latents, time, repeated))


def test_loss_reaches_the_condition_tokens_and_every_weight(flow):
    tokens = torch.randn(2, 7, CONDITION_CHANNELS, requires_grad=True)
    velocity = flow(noise(flow, 4), torch.rand(4) * 1000, flow.prepare_context(tokens), torch.zeros(1))
    sum(value.square().sum() for value in velocity.values()).backward()
    assert tokens.grad.abs().sum(dim=-1).min() > 0
    silent = [name for name, parameter in flow.named_parameters() if parameter.grad is None]
    assert not silent


def test_new_network_predicts_zero():
    flow = GeometryFlow(40, CONDITION_CHANNELS, 1, 5, LATENTS, SHARED)
    context = flow.prepare_context(torch.randn(1, 7, CONDITION_CHANNELS))
    velocity = flow(noise(flow, 1), torch.tensor([500.0]), context, torch.zeros(1))
    assert all(value.abs().max() == 0 for value in velocity.values())
