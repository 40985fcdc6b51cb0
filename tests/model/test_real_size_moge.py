"""The released depth model's size, built on the meta device (spec moge.md §0, §3.2)."""

import pytest
import torch

from vendor_model.models.moge import MoGe

MODEL_CONFIG = {
    "encoder": "dinov2_vitl14",
    "remap_output": "exp",
    "output_mask": True,
    "split_head": True,
    "intermediate_layers": 4,
    "dim_upsample": [256, 128, 64],
    "dim_times_res_block_hidden": 2,
    "num_res_blocks": 2,
    "trained_area_range": [250000, 500000],
    "last_conv_channels": 32,
    "last_conv_size": 1,
}
SHAPES = {
    "backbone.pos_embed": (1, 1370, 1024),
    "backbone.mask_token": (1, 1024),
    "backbone.blocks.23.attn.qkv.weight": (3072, 1024),
    "backbone.blocks.0.ls2.gamma": (1024,),
    "head.projects.3.weight": (512, 1024, 1, 1),
    "head.upsample_blocks.0.0.0.weight": (514, 256, 2, 2),
    "head.upsample_blocks.2.2.layers.5.weight": (64, 128, 3, 3),
    "head.output_block.0.0.weight": (32, 66, 3, 3),
    "head.output_block.1.2.weight": (1, 32, 1, 1),
    "image_mean": (1, 3, 1, 1),
}


@pytest.fixture(scope="module")
def model():
    with torch.device("meta"):
        return MoGe(**MODEL_CONFIG)


def test_released_configuration_has_the_released_size(model):
    assert len(model.state_dict()) == 421
    assert sum(parameter.numel() for parameter in model.parameters()) == 314_174_020
    assert sum(buffer.numel() for buffer in model.buffers()) == 6
    assert model.num_tokens == 2551


def test_keys_and_shapes_are_those_of_the_checkpoint(model):
    state = model.state_dict()
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES


@pytest.mark.parametrize(
    ("photo", "working"), [((480, 640), (612, 816)), ((1365, 2048), (577, 866)), ((2160, 4096), (513, 973))]
)
def test_working_size_keeps_the_photos_aspect(model, photo, working):
    assert model.working_size(photo, model.num_tokens) == working


def test_unknown_output_form_is_refused():
    with pytest.raises(ValueError, match="linear"), torch.device("meta"):
        MoGe(**{**MODEL_CONFIG, "remap_output": "linear"})
