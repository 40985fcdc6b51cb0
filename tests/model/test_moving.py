"""Finished files in their places."""

import os

import pytest

from vendor_model import moving
from vendor_model.moving import move


@pytest.fixture
def waits(monkeypatch):
    """What was slept, without sleeping."""
    slept = []
    monkeypatch.setattr(moving.time, "sleep", slept.append)
    return slept


def test_a_file_goes_over_an_older_one_and_a_folder_to_where_there_is_none(tmp_path, waits):
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    move(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new" and not (tmp_path / "new").exists()
    (tmp_path / "folder").mkdir()
    move(tmp_path / "folder", tmp_path / "place")
    assert (tmp_path / "place").is_dir() and not waits


def test_it_waits_while_another_program_has_the_file_open(tmp_path, waits, monkeypatch):
    (tmp_path / "new").write_text("new")
    replace = os.replace

    def refuse_at_first(source, target):
        if len(waits) < 3:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_at_first)
    move(tmp_path / "new", tmp_path / "place")
    assert len(waits) == 3 and (tmp_path / "place").exists()


def test_it_gives_up_after_a_while(tmp_path, waits, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        move(tmp_path / "new", tmp_path / "place")
    assert 5 <= sum(waits) <= 20
