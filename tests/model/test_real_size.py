"""The classes at the official sizes, on the meta device: keys, shapes and counts (spec geometry.md §2.3)."""

import pytest
import torch
from torch import nn

from vendor_model.models.conditioning import DinoEmbedder, EmbedderFuser, PointPatchEmbedder
from vendor_model.models.dinov2 import DinoV2
from vendor_model.models.geometry_flow import GeometryFlow
from vendor_model.models.voxel_decoder import VoxelDecoder


def generator() -> GeometryFlow:
    return GeometryFlow(
        model_channels=1024,
        cond_channels=1024,
        num_blocks=24,
        num_heads=16,
        latent_mapping={
            "shape": {"in_channels": 8, "resolution": 16},
            "6drotation_normalized": {"in_channels": 6, "token_len": 1},
            "translation": {"in_channels": 3, "token_len": 1},
            "scale": {"in_channels": 3, "token_len": 1},
            "translation_scale": {"in_channels": 1, "token_len": 1},
        },
        latent_share_transformer={
            "6drotation_normalized": ["6drotation_normalized", "translation", "scale", "translation_scale"]
        },
    )


def fuser() -> EmbedderFuser:
    def dino() -> DinoEmbedder:
        return DinoEmbedder(DinoV2(518, 14, 1024, 24, 16, num_register_tokens=4), input_size=518)

    return EmbedderFuser(
        [
            (dino(), [("image", "cropped"), ("rgb_image", "full")]),
            (dino(), [("mask", "cropped"), ("rgb_image_mask", "full")]),
            (PointPatchEmbedder(512, 256, 8), [("pointmap", "cropped"), ("rgb_pointmap", "full")]),
        ]
    )


def decoder() -> VoxelDecoder:
    return VoxelDecoder(out_channels=1, latent_channels=8, num_res_blocks=2, channels=[512, 128, 32])


SIZES = {
    generator: (945, 959_962_133, 4_194_304),
    fuser: (722, 634_485_760, 0),
    decoder: (74, 73_671_201, 0),
}

SHAPES = {
    generator: {
        "latent_mapping.shape.pos_emb": (4096, 1024),
        "latent_mapping.translation_scale.out_layer.weight": (1, 1024),
        "d_embedder.mlp.0.weight": (1024, 256),
        "blocks.23.adaLN_modulation.1.weight": (6144, 1024),
        "blocks.0.self_attn.to_qkv.6drotation_normalized.weight": (3072, 1024),
        "blocks.0.self_attn.q_rms_norm.shape.gamma": (16, 64),
        "blocks.0.cross_attn.shape.to_kv.bias": (2048,),
        "blocks.0.mlp.6drotation_normalized.mlp.0.weight": (4096, 1024),
    },
    fuser: {
        "idx_emb": (3, 1024),
        "module_list.0.backbone.pos_embed": (1, 1370, 1024),
        "module_list.1.backbone.register_tokens": (1, 4, 1024),
        "module_list.0.backbone.blocks.23.ls2.gamma": (1024,),
        "module_list.2.pos_embed_window": (1, 65, 512),
        "module_list.2.pos_embed": (1, 512, 32, 32),
        "projection_nets.2.1.w1.weight": (2816, 512),
        "projection_nets.2.1.w2.weight": (1024, 2816),
    },
    decoder: {
        "input_layer.weight": (512, 8, 3, 3, 3),
        "blocks.2.conv.weight": (1024, 512, 3, 3, 3),
        "blocks.5.conv.weight": (256, 128, 3, 3, 3),
        "blocks.7.conv2.weight": (32, 32, 3, 3, 3),
        "out_layer.2.weight": (1, 32, 3, 3, 3),
    },
}


@pytest.mark.parametrize("build", SIZES)
def test_state_dict_is_that_of_the_released_checkpoint(build):
    with torch.device("meta"):
        module: nn.Module = build()
    state = module.state_dict()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    buffers = sum(value.numel() for value in state.values()) - parameters
    assert (len(state), parameters, buffers) == SIZES[build]
    assert {key: tuple(state[key].shape) for key in SHAPES[build]} == SHAPES[build]


def test_condition_has_7528_tokens():
    with torch.device("meta"):
        module = fuser()
        inputs = {name: torch.empty(1, 1 if "mask" in name else 3, 518, 518) for name in module.input_names}
        assert module(inputs).shape == (1, 7528, 1024)
