"""Batches read ahead by other processes: each reader's own, and their errors in their own words."""

from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from vendor_model.errors import UserError
from vendor_model.training.reading import read_ahead

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


@pytest.mark.parametrize("readers", [0, 1])
def test_an_error_of_a_reader_comes_in_its_own_words(readers):
    batches = read_ahead(failing, readers, CPU)
    next(batches)
    with pytest.raises(UserError, match=r"^The shelf is empty\.$"):
        next(batches)
