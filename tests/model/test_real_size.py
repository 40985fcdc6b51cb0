"""The released model's configuration, built on the meta device: tensors, shapes and counts of the checkpoint.

Source: spec geometry.md §2.3, texture.md §9, moge.md §0.
"""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from released_keys import RELEASED

import vendor_model
from vendor_model import checkpoints
from vendor_model.checkpoints import conversion
from vendor_model.checkpoints.released import Release
from vendor_model.config import read_pipeline, read_yaml

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
    assert {key: tuple(value.shape) for key, value in state.items()} == RELEASED[name]


def test_released_files_fit_and_are_stored_in_five_gigabytes(monkeypatch):
    release = Release(read_yaml(OFFICIAL / "pipeline.yaml"), dict.fromkeys(checkpoints.WEIGHTS), OFFICIAL)
    weights, encoders = [], set()
    for file, names in checkpoints.WEIGHTS.items():
        tensors = {
            prefix + key: torch.empty(shape, device="meta")
            for name, prefix in names.items()
            for key, shape in RELEASED[name].items()
        }
        foreign = {"_base_models.loss.weight": torch.empty(3)} if len(names) > 1 else {}
        monkeypatch.setattr(conversion, "read_released", lambda *_, read=tensors | foreign: read)
        weights += conversion.read_weights(release, file)
        encoders |= {(file, key) for key in tensors if re.search(r"module_list\.[01]\.backbone", key)}
    assert len(weights) == 3608
    one_encoder = sum(w.nbytes for w in weights if (w.file, w.key) in encoders) // 4
    stored = sum(w.nbytes for w in weights) - 3 * one_encoder
    told = tomllib.loads((OFFICIAL / "release.toml").read_text())["bytes"]
    assert stored == pytest.approx(told, rel=0.01)


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
