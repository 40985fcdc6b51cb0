"""The texture stage at its released size, on the meta device (spec texture.md §9)."""

import pytest
import torch

from vendor_model.models.latent_decoders import GaussianDecoder, MeshDecoder
from vendor_model.models.texture_flow import TextureFlow

DECODER = {"resolution": 64, "model_channels": 768, "latent_channels": 8, "num_blocks": 12, "num_heads": 12}


def count(module: torch.nn.Module) -> tuple[int, int, int]:
    """Tensors in the state dict, numbers in parameters, numbers in buffers."""
    parameters, buffers = (
        sum(tensor.numel() for tensor in tensors) for tensors in (module.parameters(), module.buffers())
    )
    return len(module.state_dict()), parameters, buffers


def shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in module.state_dict().items()}


def test_flow_has_the_released_tensors():
    with torch.device("meta"):
        flow = TextureFlow(
            resolution=64,
            in_channels=8,
            model_channels=1024,
            cond_channels=1024,
            out_channels=8,
            num_blocks=24,
            num_heads=16,
        )
    assert count(flow) == (526, 600_432_520, 0)
    found = shapes(flow)
    assert found["input_blocks.1.conv2.conv.weight"] == [1024, 3, 3, 3, 1024]
    assert found["out_blocks.0.conv1.conv.weight"] == [128, 3, 3, 3, 2048]
    assert found["out_blocks.1.skip_connection.weight"] == [128, 256]
    assert found["blocks.23.self_attn.q_rms_norm.gamma"] == [16, 64]
    assert found["blocks.0.adaLN_modulation.1.weight"] == [6144, 1024]


@pytest.mark.parametrize(
    ("splats", "expected"), [(32, (101, 85_369_024, 96)), (4, (101, 85_067_576, 12))], ids=["32", "4"]
)
def test_gaussian_decoder_has_the_released_tensors(splats, expected):
    with torch.device("meta"):
        decoder = GaussianDecoder(**DECODER, representation_config={"num_gaussians": splats})
    assert count(decoder) == expected
    assert shapes(decoder)["out_layer.weight"] == [14 * splats, 768]


def test_mesh_decoder_has_the_released_tensors():
    with torch.device("meta"):
        decoder = MeshDecoder(**DECODER)
    assert count(decoder) == (120, 90_926_693, 0)
    assert decoder.output_resolution == 256
    found = shapes(decoder)
    assert found["upsample.0.out_layers.0.conv.weight"] == [192, 3, 3, 3, 768]
    assert found["upsample.1.skip_connection.conv.weight"] == [96, 1, 1, 1, 192]
    assert found["upsample.0.act_layers.0.weight"] == [768]
    assert found["out_layer.weight"] == [101, 96]
