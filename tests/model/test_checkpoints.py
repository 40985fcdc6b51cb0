"""Weights files: what is loaded is what was written, mapped where it can be, shared where it is shared."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vendor_model import checkpoints
from vendor_model.__main__ import MINI
from vendor_model.checkpoints import files
from vendor_model.checkpoints.files import SHARED_FILE, SHARED_KEYS
from vendor_model.checkpoints.released import read_released
from vendor_model.config import read_pipeline
from vendor_model.errors import CheckpointError

CPU = torch.device("cpu")


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(MINI, tmp_path / "model"))


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_a_module_is_filled_whole_in_the_asked_precision(dtype):
    module = checkpoints.load_module(MINI, read_pipeline(MINI), "ss_flow", CPU, dtype)
    stored = load_file(MINI / "ss_generator.safetensors")
    prefix = checkpoints.WEIGHTS["ss_generator"]["ss_flow"]
    state = module.state_dict()
    assert len(state) == sum(key.startswith(prefix) for key in stored)
    for key, value in state.items():
        assert value.dtype == (dtype or stored[prefix + key].dtype)
        assert torch.equal(value, stored[prefix + key].to(value.dtype)), key
    assert not module.training and not any(value.requires_grad for value in module.parameters())


def test_what_no_file_holds_keeps_its_values():
    config = read_pipeline(MINI)
    loaded = checkpoints.load_module(MINI, config, "ss_condition_embedder", CPU)
    built = checkpoints.build_one(MINI, config, "ss_condition_embedder")
    for (name, ours), (_, theirs) in zip(loaded.named_buffers(), built.named_buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def test_tensors_of_the_stored_precision_stay_mapped():
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux lists what a process has mapped")
    module = checkpoints.load_module(MINI, read_pipeline(MINI), "ss_decoder", CPU)
    path = str(MINI / "ss_decoder.safetensors")
    ranges = [
        tuple(int(end, 16) for end in line.split()[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(path)
    ]
    for name, value in module.named_parameters():
        assert any(start <= value.data_ptr() < end for start, end in ranges), name


def share(folder: Path, file: str, own: str, key: str) -> None:
    """Move a tensor of a weights file to `SHARED_FILE`, where another file's twin may lie already."""
    tensors = load_file(folder / file)
    shared = load_file(folder / SHARED_FILE) if (folder / SHARED_FILE).exists() else {}
    save_file(shared | {key: tensors.pop(own)}, folder / SHARED_FILE)
    save_file(tensors, folder / file, {SHARED_KEYS: json.dumps({own: key})})


def test_a_shared_tensor_is_loaded_once_for_as_long_as_it_is_used(copy):
    for file in ("ss_generator", "slat_generator"):
        key = "_base_models.condition_embedder.module_list.1.backbone.patch_embed.proj.weight"
        share(copy, f"{file}.safetensors", key, "twin")
    config = read_pipeline(copy)

    def patches(name: str, dtype=torch.float32) -> torch.nn.Parameter:
        module = checkpoints.load_module(copy, config, name, CPU, dtype)
        return module.module_list[1].backbone.patch_embed.proj.weight

    apart = checkpoints.size(MINI, config, lambda name: torch.float32)
    twin = load_file(copy / SHARED_FILE)["twin"]
    assert checkpoints.size(copy, config, lambda name: torch.float32) == apart - twin.numel() * 4
    first, second = patches("ss_condition_embedder"), patches("slat_condition_embedder")
    assert first is second and first.dtype == torch.float32
    assert patches("ss_condition_embedder", torch.float16) is not first
    del first, second
    assert not list(files._shared_parameters)


def test_a_missing_or_damaged_shared_file_is_refused_in_words(copy):
    key = "blocks.0.norm1.weight"
    assert key in load_file(copy / "ss_decoder.safetensors")
    share(copy, "ss_decoder.safetensors", key, "twin")
    config = read_pipeline(copy)
    checkpoints.load_module(copy, config, "ss_decoder", CPU)
    save_file({"other": torch.zeros(1)}, copy / SHARED_FILE)
    with pytest.raises(CheckpointError, match="not a complete weights file"):
        checkpoints.load_module(copy, config, "ss_decoder", CPU)
    (copy / SHARED_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"shared\.safetensors is missing"):
        checkpoints.load_module(copy, config, "ss_decoder", CPU)


def test_memory_that_runs_out_is_not_taken_for_damage(copy, monkeypatch):
    def run_out(*_, **__):
        raise OSError("The paging file is too small for this operation to complete. (os error 1455)")

    monkeypatch.setattr(files, "safe_open", run_out)
    with pytest.raises(OSError, match="1455"):
        checkpoints.load_module(copy, read_pipeline(copy), "ss_decoder", CPU)
    monkeypatch.setattr(torch, "load", run_out)
    with pytest.raises(OSError, match="1455"):
        read_released(copy / "ss_decoder.safetensors", {})


def test_a_truncated_file_is_refused_in_words(copy):
    path = copy / "ss_decoder.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"ss_decoder\.safetensors is not a complete weights file"):
        checkpoints.load_module(copy, read_pipeline(copy), "ss_decoder", CPU)
