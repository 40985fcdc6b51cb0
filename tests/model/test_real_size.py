"""The released model's configuration, built on the meta device: tensors, shapes and counts of the checkpoint.

Source: spec geometry.md §2.3, texture.md §9, moge.md §0.
"""

from pathlib import Path

import pytest
import torch

import vendor_model
from vendor_model import checkpoints
from vendor_model.config import read_pipeline

OFFICIAL = Path(vendor_model.__file__).parent / "official"

SIZES = {
    "ss_flow": (945, 959_962_133, 4_194_304),
    "ss_condition_embedder": (722, 634_485_760, 0),
    "ss_decoder": (74, 73_671_201, 0),
    "slat_flow": (526, 600_432_520, 0),
    "slat_condition_embedder": (699, 626_054_144, 0),
    "slat_decoder_gs": (101, 85_369_024, 96),
    "slat_decoder_mesh": (120, 90_926_693, 0),
    "depth_model": (421, 314_174_020, 6),
}
"""Tensors in the state dict, numbers in parameters, numbers in buffers."""

SHAPES = {
    "ss_flow": {
        "latent_mapping.shape.pos_emb": (4096, 1024),
        "latent_mapping.translation_scale.out_layer.weight": (1, 1024),
        "d_embedder.mlp.0.weight": (1024, 256),
        "blocks.23.adaLN_modulation.1.weight": (6144, 1024),
        "blocks.0.self_attn.to_qkv.6drotation_normalized.weight": (3072, 1024),
        "blocks.0.self_attn.q_rms_norm.shape.gamma": (16, 64),
        "blocks.0.cross_attn.shape.to_kv.bias": (2048,),
        "blocks.0.mlp.6drotation_normalized.mlp.0.weight": (4096, 1024),
    },
    "ss_condition_embedder": {
        "idx_emb": (3, 1024),
        "module_list.0.backbone.pos_embed": (1, 1370, 1024),
        "module_list.1.backbone.register_tokens": (1, 4, 1024),
        "module_list.0.backbone.blocks.23.ls2.gamma": (1024,),
        "module_list.2.pos_embed_window": (1, 65, 512),
        "module_list.2.pos_embed": (1, 512, 32, 32),
        "projection_nets.2.1.w1.weight": (2816, 512),
        "projection_nets.2.1.w2.weight": (1024, 2816),
    },
    "ss_decoder": {
        "input_layer.weight": (512, 8, 3, 3, 3),
        "blocks.2.conv.weight": (1024, 512, 3, 3, 3),
        "blocks.5.conv.weight": (256, 128, 3, 3, 3),
        "blocks.7.conv2.weight": (32, 32, 3, 3, 3),
        "out_layer.2.weight": (1, 32, 3, 3, 3),
    },
    "slat_flow": {
        "input_blocks.1.conv2.conv.weight": (1024, 3, 3, 3, 1024),
        "out_blocks.0.conv1.conv.weight": (128, 3, 3, 3, 2048),
        "out_blocks.1.skip_connection.weight": (128, 256),
        "blocks.23.self_attn.q_rms_norm.gamma": (16, 64),
        "blocks.0.adaLN_modulation.1.weight": (6144, 1024),
    },
    "slat_decoder_mesh": {
        "upsample.0.skip_connection.conv.weight": (192, 1, 1, 1, 768),
        "upsample.1.out_layers.3.conv.weight": (96, 3, 3, 3, 96),
        "out_layer.weight": (101, 96),
    },
    "slat_decoder_gs": {"offset_perturbation": (32, 3), "out_layer.weight": (448, 768)},
    "depth_model": {
        "backbone.pos_embed": (1, 1370, 1024),
        "head.upsample_blocks.0.0.0.weight": (514, 256, 2, 2),
        "head.output_block.1.2.weight": (1, 32, 1, 1),
    },
}


@pytest.fixture
def build():
    config = read_pipeline(OFFICIAL)

    def build(name: str) -> torch.nn.Module:
        with torch.device("meta"):
            return checkpoints.build_one(OFFICIAL, config, name)

    return build


@pytest.mark.parametrize("name", SIZES)
def test_state_dict_is_that_of_the_released_checkpoint(build, name):
    module = build(name)
    state = module.state_dict()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    buffers = sum(value.numel() for value in state.values()) - parameters
    assert (len(state), parameters, buffers) == SIZES[name]
    wanted = SHAPES.get(name, {})
    assert {key: tuple(state[key].shape) for key in wanted} == wanted


def test_condition_has_7528_tokens(build):
    module = build("ss_condition_embedder")
    with torch.device("meta"):
        inputs = {name: torch.empty(1, 1 if "mask" in name else 3, 518, 518) for name in module.input_names}
        assert module(inputs).shape == (1, 7528, 1024)


def test_sampler_defaults_are_those_of_the_release():
    config = read_pipeline(OFFICIAL)
    stage_1 = (config.ss_inference_steps, config.ss_rescale_t, config.ss_cfg_strength, config.ss_cfg_interval)
    stage_2 = (config.slat_inference_steps, config.slat_rescale_t, config.slat_cfg_strength)
    assert stage_1 == (25, 3.0, 7.0, (0.0, 500.0))
    assert (*stage_2, config.downsample_ss_dist, config.layout_refinement) == (25, 1.0, 1.0, 1, False)
