"""Batches read ahead by other processes: each reader's own, and their errors in their own words."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from vendor_model.errors import UserError
from vendor_model.training import depth_stage
from vendor_model.training.reading import read_ahead
from vendor_model.training.shards import Shards

CPU = torch.device("cpu")


def counting(reader: int) -> Iterator[dict[str, torch.Tensor]]:
    number = 0
    while True:
        yield {"reader": torch.tensor([reader]), "number": torch.tensor([number])}
        number += 1


def failing(reader: int) -> Iterator[torch.Tensor]:
    yield torch.zeros(1)
    raise UserError("The shelf is empty.")


@pytest.mark.parametrize(
    ("readers", "expected"), [(0, [(0, 0), (0, 1)]), (2, [(0, 0), (1, 0), (0, 1), (1, 1)])]
)
def test_readers_take_turns(readers, expected):
    batches = islice(read_ahead(counting, readers, CPU), len(expected))
    assert [(int(batch["reader"]), int(batch["number"])) for batch in batches] == expected


def test_photos_of_the_depth_stage_come_from_another_process_as_from_this_one(tmp_path):
    photos, maps = np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 4, 4, 3), np.float16)
    photos[:, 0, 0, 0] = np.arange(4)
    kinds = np.array(["ground"] * 4)
    np.savez(tmp_path / "shard-0-00000.npz", photos=photos, maps=maps, photo_kind=kinds)
    stream = partial(depth_stage._stored_photos, Shards(tmp_path, 0), 4)
    here, there = (next(read_ahead(stream, readers, CPU)) for readers in (0, 1))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)


@pytest.mark.parametrize("readers", [0, 1])
def test_an_error_of_a_reader_comes_in_its_own_words(readers):
    batches = read_ahead(failing, readers, CPU)
    next(batches)
    with pytest.raises(UserError, match=r"^The shelf is empty\.$"):
        next(batches)
