"""The hub's files arrive whole, however often the line breaks, and every refusal says what to do."""

import errno
import json
import os
import shutil

import hub
import pytest
import released
import torch
from huggingface_hub import constants, file_download
from huggingface_hub.utils import close_session

from vendor_model import checkpoints
from vendor_model.__main__ import MINI
from vendor_model.checkpoints import download, space
from vendor_model.checkpoints.download import Source, download_model, fetch
from vendor_model.config import read_pipeline
from vendor_model.errors import Cancelled, CheckpointError, DownloadError

PAGE = "https://huggingface.co/meta/big"
BIG = Source("Big, by Meta", "meta/big", "Some License", PAGE, True, 9, ["pipeline.yaml", "big.ckpt"])
CONTENT = os.urandom(3_000_000)


@pytest.fixture
def server(monkeypatch):
    with hub.serving() as server:
        server.repositories["meta/big"] = {
            "README.md": b"about",
            "checkpoints/old/big.ckpt": b"an earlier one",
            "checkpoints/pipeline.yaml": b"version: 1",
            "checkpoints/big.ckpt": CONTENT,
            "z/checkpoints/big.ckpt": b"another one",
        }
        server.gated.add("meta/big")
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()
        yield server
        close_session()


@pytest.fixture
def reports():
    """A progress that remembers; `reports.stop_at`: the fraction to cancel at."""

    class Reports(list):
        stop_at = 2.0

        def __call__(self, stage, fraction):
            self.append((stage, fraction))
            if fraction >= self.stop_at:
                raise Cancelled

    return Reports()


def test_files_arrive_with_progress(server, tmp_path, reports):
    fetch([BIG], tmp_path / "new" / "folder", reports)
    assert (tmp_path / "new" / "folder" / "big.ckpt").read_bytes() == CONTENT
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"pipeline.yaml", "big.ckpt"}
    fractions = [fraction for stage, fraction in reports if stage == "download"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and len(fractions) > 20


def test_a_download_goes_on_where_it_was_cancelled(server, tmp_path, reports):
    reports.stop_at = 0.5
    with pytest.raises(Cancelled):
        fetch([BIG], tmp_path, reports)
    [part] = tmp_path.glob("*.part")
    assert 0 < part.stat().st_size < len(CONTENT)
    begun = part.stat().st_size
    server.requests.clear()
    reports.stop_at = 2.0
    fetch([BIG], tmp_path, reports)
    assert (tmp_path / "big.ckpt").read_bytes() == CONTENT
    assert server.requests == [("checkpoints/big.ckpt", f"bytes={begun}-")]


def test_a_complete_download_is_not_fetched_again(server, tmp_path, reports):
    fetch([BIG], tmp_path, reports)
    server.requests.clear()
    fetch([BIG], tmp_path, reports)
    assert server.requests == []


def test_a_file_that_was_only_not_looked_through_is_not_asked_for(server, tmp_path, reports):
    fetch([BIG], tmp_path, reports)
    [remote] = [file for file in download.list_files(BIG) if file.name == "big.ckpt"]
    (tmp_path / "big.ckpt").rename(tmp_path / f"big.ckpt.{remote.sha256 or 'small'}.part")
    server.requests.clear()
    fetch([BIG], tmp_path, reports)
    assert server.requests == [] and (tmp_path / "big.ckpt").read_bytes() == CONTENT


def test_nothing_is_fetched_for_a_folder_that_is_there(server, tmp_path, reports):
    with pytest.raises(DownloadError, match="is there already"):
        download_model(MINI, tmp_path, reports)
    assert server.requests == [] and not reports


def test_a_broken_line_is_taken_up_again(server, tmp_path, reports):
    server.cut["checkpoints/big.ckpt"] = 1_000_000
    fetch([BIG], tmp_path, reports)
    assert (tmp_path / "big.ckpt").read_bytes() == CONTENT
    assert len(server.requests) == 3


def refusal(tmp_path, kind=DownloadError) -> str:
    with pytest.raises(kind) as caught:
        fetch([BIG], tmp_path, lambda stage, fraction: None)
    sentence = str(caught.value)
    assert hub.TOKEN not in sentence and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_a_lost_network_keeps_what_is_there(server, tmp_path, monkeypatch):
    (tmp_path / "pipeline.yaml").write_bytes(b"version: 1")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "check the internet connection" in refusal(tmp_path)
    assert (tmp_path / "pipeline.yaml").exists()


def test_blender_or_the_environment_may_forbid_the_network(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "OfflineModeIsEnabled" in refusal(tmp_path)


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_a_missing_or_wrong_token_is_asked_for(server, tmp_path, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    sentence = refusal(tmp_path)
    assert f"accept the licence at {PAGE}" in sentence and download.TOKENS_PAGE in sentence
    assert "hf_wrong" not in sentence


def test_a_licence_that_was_not_accepted_is_named(server, tmp_path):
    server.consent = False
    assert f"accept the licence at {PAGE}, wait" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "may not read gated"), (404, "does not show meta/big"), (429, "error 429"), (503, "error 503")],
)
def test_other_refusals_say_what_to_do(server, tmp_path, status, words):
    server.down = status
    assert words in refusal(tmp_path)


def test_a_file_that_the_hub_no_longer_has(server, tmp_path):
    server.repositories["meta/big"] = {"checkpoints/pipeline.yaml": b"version: 1"}
    assert "does not have big.ckpt any more" in refusal(tmp_path)


def test_damaged_bytes_are_thrown_away(server, tmp_path, reports):
    server.spoiled.add("checkpoints/big.ckpt")
    assert "arrived damaged" in refusal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]
    server.spoiled.clear()
    fetch([BIG], tmp_path, reports)
    assert (tmp_path / "big.ckpt").read_bytes() == CONTENT


def test_a_disk_that_is_too_small_or_runs_full(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
        assert "free some space" in refusal(tmp_path, CheckpointError)
    assert server.requests == []

    def refuse(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download._ReportingFile, "write", refuse)
    assert "ran full" in refusal(tmp_path)


def test_a_release_becomes_a_model_and_its_download_goes(server, tmp_path, reports, monkeypatch):
    modules = released.modules()
    released.write(tmp_path / "release", modules)
    files = {path.name: path.read_bytes() for path in (tmp_path / "release").iterdir()}
    server.repositories = {"a/depth": {"model.pt": files.pop("model.pt")}, "a/rest": files}
    configuration = tmp_path / "configuration"
    shutil.copytree(MINI, configuration)
    toml = "bytes = 1000\n"
    for name, content in server.repositories.items():
        facts = {"title": name, "repository": name, "license": "", "page": "", "gated": False, "bytes": 1}
        toml += "[[weights]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
        toml += f"files = {json.dumps(list(content))}\n"
    (configuration / "release.toml").write_text(toml)
    target = tmp_path / "models" / "tiny"
    download_model(configuration, target, reports)
    loaded = checkpoints.load_module(target, read_pipeline(target), "ss_decoder", torch.device("cpu"))
    bias = modules["ss_decoder"].out_layer[2].bias
    assert torch.equal(loaded.out_layer[2].bias, bias)
    assert [path.name for path in target.parent.iterdir()] == ["tiny"]
    assert {stage for stage, _ in reports} == {"download", "convert"}


def test_a_segmenters_weights_are_used_as_they_are(server, tmp_path, reports):
    server.repositories["meta/big"] = {"config.json": b"{}", "model.safetensors": CONTENT}
    configuration, target = tmp_path / "sam", tmp_path / "models" / "sam"
    configuration.mkdir()
    (configuration / "release.toml").write_text(
        f"""
        bytes = 9
        [[weights]]
        title = "Big, by Meta"
        repository = "meta/big"
        license = "Some License"
        page = "{PAGE}"
        gated = true
        bytes = 9
        files = ["config.json", "model.safetensors"]
        """,
        encoding="utf-8",
    )
    download_model(configuration, target, reports)
    assert (target / "model.safetensors").read_bytes() == CONTENT and (target / "config.json").exists()
    assert [path.name for path in target.parent.iterdir()] == ["sam"]
    assert {stage for stage, _ in reports} == {"download"}
