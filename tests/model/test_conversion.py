"""Released files become a model folder: the same numbers, each once, whole or not at all."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import released
import torch
from safetensors import safe_open

from vendor_model import checkpoints
from vendor_model.__main__ import MINI
from vendor_model.checkpoints import conversion, space
from vendor_model.checkpoints.__main__ import main
from vendor_model.checkpoints.files import SHARED_FILE, WeightsFile
from vendor_model.checkpoints.released import CONFIGURATION
from vendor_model.config import read_pipeline, read_yaml
from vendor_model.errors import Cancelled, CheckpointError

CPU = torch.device("cpu")


def silent(stage: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
def modules():
    return released.modules()


@pytest.fixture(scope="module")
def release(modules, tmp_path_factory) -> Path:
    """Never to be changed: tests that spoil a file copy it."""
    folder = tmp_path_factory.mktemp("download") / "checkpoints"
    released.write(folder, modules)
    return folder


@pytest.fixture(scope="module")
def converted(release, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("models") / "tiny"
    conversion.convert(release.parent, target, silent, MINI)
    return target


@pytest.fixture
def copy(release, tmp_path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "copy"))


def test_every_module_has_the_released_numbers_in_its_precision(modules, converted):
    loaded = checkpoints.load(converted, read_pipeline(converted), CPU, None)
    for name, module in modules.items():
        state = loaded[name].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(state[key], value.to(state[key].dtype)), (name, key)
    types = {key: value.dtype for key, value in loaded["ss_flow"].state_dict().items()}
    assert types["blocks.0.self_attn.to_qkv.shape.weight"] == torch.float16
    assert types["blocks.0.self_attn.to_qkv.shape.bias"] == torch.float32
    assert types["latent_mapping.shape.input_layer.weight"] == torch.float32
    assert types["blocks.0.norm2.shape.weight"] == torch.float32
    assert types["blocks.0.self_attn.q_rms_norm.shape.gamma"] == torch.float32
    assert types["latent_mapping.shape.pos_emb"] == torch.float32


def test_twins_are_stored_once_and_only_twins(converted):
    encoder = {
        key
        for key in WeightsFile(converted / "slat_generator.safetensors").shapes
        if ".module_list.0.backbone." in key
    }
    for file in ("slat_generator", "ss_generator"):
        with safe_open(converted / f"{file}.safetensors", "pt") as opened:
            assert not any(
                f".module_list.{int(file == 'ss_generator')}.backbone." in key for key in opened.keys()
            )
            shared = json.loads(opened.metadata()["shared"])
            assert len(shared) == len(encoder)
    with safe_open(converted / SHARED_FILE, "pt") as opened:
        assert set(opened.keys()) == set(shared.values())
    with safe_open(converted / "ss_decoder.safetensors", "pt") as opened:
        assert opened.metadata() is None
    first = checkpoints.load(converted, read_pipeline(converted), CPU)
    ours = first["ss_condition_embedder"].module_list[1].backbone.norm.weight
    assert ours is first["slat_condition_embedder"].module_list[0].backbone.norm.weight


def test_configuration_is_ours_with_the_settings_of_the_release(converted):
    assert read_pipeline(converted).slat_cfg_strength == 1 != read_pipeline(MINI).slat_cfg_strength
    assert read_pipeline(converted).slat_mean == read_pipeline(MINI).slat_mean
    assert read_yaml(converted / "ss_generator.yaml") == read_yaml(MINI / "ss_generator.yaml")
    assert {path.name for path in converted.parent.iterdir()} == {"tiny"}


def test_a_converted_folder_is_used_as_it_is(converted, tmp_path):
    with pytest.raises(CheckpointError, match="is a converted model already"):
        conversion.convert(converted, tmp_path / "again", silent, MINI)


def test_released_files_are_not_run_unconverted(release):
    with pytest.raises(CheckpointError, match="convert the folder"):
        read_pipeline(release)


def refusal(source: Path, tmp_path: Path) -> str:
    """What a conversion says that must not leave anything."""
    before = set(tmp_path.iterdir())
    with pytest.raises(CheckpointError) as caught:
        conversion.convert(source, tmp_path / "made", silent, MINI)
    assert set(tmp_path.iterdir()) == before
    return str(caught.value)


class Trap:
    """Pickled, it makes a naive reader create a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_wants_to_run_code_is_not_let(copy, tmp_path):
    torch.save({"state_dict": {"a": Trap(tmp_path / "trapped")}}, copy / "ss_generator.ckpt")
    assert "wants to run" in refusal(copy, tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def drop(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content.pop("out_layer.2.bias")
    torch.save(content, path)


def add(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"blocks.99.norm1.weight": torch.ones(3)}, path)


def reshape(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    torch.save(content | {"out_layer.2.bias": torch.ones(7)}, path)


def overflow(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["input_layer.weight"][0] = 1e6
    torch.save(content, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "ss_decoder.ckpt is missing"),
        (cut, "ss_decoder.ckpt is no complete checkpoint"),
        (lambda path: path.write_bytes(b""), "ss_decoder.ckpt is no complete checkpoint"),
        (lambda path: path.write_text("<html>Sign in</html>"), "ss_decoder.ckpt is no checkpoint"),
        (lambda path: torch.save([1, 2], path), "holds no weights by name"),
        (drop, "1 tensors differ, such as out_layer.2.bias"),
        (add, "1 tensors differ, such as blocks.99.norm1.weight"),
        (reshape, "1 tensors differ, such as out_layer.2.bias"),
        (overflow, "input_layer.weight holds values"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_in_words(copy, tmp_path, spoil, message):
    spoil(copy / "ss_decoder.ckpt")
    assert message in refusal(copy, tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "pipeline.yaml",
            "version: mini-1",
            "version: 3dfy_v10",
            "version '3dfy_v10' of the model and 'mini-1'",
        ),
        ("pipeline.yaml", "ss_decoder_ckpt_path", "ss_decoder_path", "does not name ss_decoder_ckpt_path"),
        ("pipeline.yaml", "slat_cfg_strength: 1", "slat_cfg_strength: strong", "not of the expected kind"),
        ("slat_decoder_mesh.yaml", "num_blocks: 3", "num_blocks: 4", "says num_blocks 4 and 3 is known"),
        (
            "ss_generator.yaml",
            "num_heads: 4\n",
            "num_heads: 2\n",
            "num_heads 2 and 4 or 3 is known",
        ),
        ("ss_generator.yaml", "remap_output: linear", "remap_output: exp", "exp and linear is known"),
        ("ss_generator.yaml", "depth: 3", "depth: 5", "embedder_list.depth 5 and 4 or 3 is known"),
    ],
)
def test_another_version_of_the_model_is_refused_in_words(copy, tmp_path, file, old, new, message):
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    assert message in refusal(copy, tmp_path)


def test_a_release_without_the_depth_model_says_where_that_comes_from(copy, tmp_path):
    (copy / "model.pt").unlink()
    assert "https://huggingface.co/Ruicheng/moge-vitl" in refusal(copy, tmp_path)


def test_a_folder_without_a_model_is_refused_in_words(tmp_path):
    assert "holds no pipeline.yaml" in refusal(tmp_path, tmp_path)


def test_a_full_disk_is_told_before_and_when_it_happens(release, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
        assert "0.0 GB left" in refusal(release, tmp_path)

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "write_tensors", refuse)
    assert "ran full" in refusal(release, tmp_path)


def test_a_conversion_can_be_cancelled_at_any_tensor_and_leaves_nothing(release, tmp_path):
    fractions = []

    def progress(stage, fraction):
        fractions.append(fraction)
        if fraction > 0.5:
            assert [path.name for path in tmp_path.iterdir()] == ["made.partial"]
            raise Cancelled

    with pytest.raises(Cancelled):
        conversion.convert(release, tmp_path / "made", progress, MINI)
    assert fractions == sorted(fractions) and len(fractions) > 100
    assert not list(tmp_path.iterdir())


def test_what_a_killed_conversion_left_is_replaced_and_what_is_there_is_kept(release, tmp_path):
    (tmp_path / "made.partial").mkdir()
    (tmp_path / "made.partial" / "half").touch()
    conversion.convert(release, tmp_path / "made", silent, MINI)
    assert [path.name for path in tmp_path.iterdir()] == ["made"] and not (
        tmp_path / "made" / "half"
    ).exists()
    with pytest.raises(CheckpointError, match="is there already"):
        conversion.convert(release, tmp_path / "made", silent, MINI)


def run(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["checkpoints", *map(str, arguments)])
    main()


def test_command_describes_a_model_without_its_weights(monkeypatch, capsys):
    run(monkeypatch, "describe", CONFIGURATION, "--json")
    sizes = {size.pop("name"): size for size in json.loads(capsys.readouterr().out)}
    assert sizes["ss_flow"] == {
        "tensors": 945,
        "parameters": 959_962_133,
        "buffers": 4_194_304,
        "bytes_float16": 2 * 964_156_437,
        "bytes_float32": 4 * 964_156_437,
    }
    assert sum(size["tensors"] for size in sizes.values()) == 3608


def test_command_converts_or_refuses_in_a_sentence(release, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="is version 'mini-1'"):
        run(monkeypatch, "convert", release, tmp_path / "made")
    monkeypatch.setattr(conversion.convert, "__defaults__", (MINI,))
    run(monkeypatch, "convert", release, tmp_path / "made")
    assert "is ready" in capsys.readouterr().out
    run(monkeypatch, "describe", tmp_path / "made")
    assert f"{'all':24}" in capsys.readouterr().out
