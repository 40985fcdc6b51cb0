"""In which precision a training multiplies, and that all its processes do alike."""

from functools import partial

import pytest
import torch
import torch.multiprocessing as multiprocessing

from vendor_model.training import products
from vendor_model.training.products import fast_products, products_dtype

CPU = torch.device("cpu")


@pytest.fixture
def unasked():
    products_dtype.cache_clear()
    yield
    products_dtype.cache_clear()


@pytest.mark.parametrize("faster, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_multiplies_in_what_it_is_faster_in(monkeypatch, unasked, faster, dtype):
    monkeypatch.setattr(products, "cpu_is_faster_in", lambda dtype: faster)
    assert products_dtype(CPU) == dtype
    with fast_products(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def one_of_two(rank: int, folder) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    products.cpu_is_faster_in = lambda dtype: rank == 0
    (folder / f"{rank}.txt").write_text(str(products_dtype(CPU)))


def test_one_process_that_gains_nothing_by_bfloat16_decides_for_all(tmp_path, unasked):
    multiprocessing.start_processes(partial(one_of_two, folder=tmp_path), nprocs=2, start_method="fork")
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == ["torch.float32"] * 2
