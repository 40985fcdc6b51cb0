"""Muon: which way and how far it steps, and that several processes share the work."""

from functools import partial

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import nn

from vendor_model.training import muon
from vendor_model.training.muon import Muon, orthogonal, shared_orthogonal

SHAPES = ((6, 4), (4, 6), (5, 5), (4, 6), (6, 4))


def matrices() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=rng) for shape in SHAPES]


@pytest.fixture
def exact(monkeypatch):
    """Products in float32 on every processor: bfloat16 rounds momentum and gradient each its own way."""
    monkeypatch.setattr(muon, "products_dtype", lambda device: torch.float32)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shape", [(3, 20, 50), (3, 50, 20)])
def test_orthogonal_matrices_keep_singular_vectors_and_have_singular_values_near_one(shape, size):
    given = size * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    found = left.mT @ orthogonal(given).float() @ right.mT
    values = found.diagonal(dim1=1, dim2=2)
    assert 0.6 < values.min() and values.max() < 1.25
    assert (found - torch.diag_embed(values)).abs().max() < 0.02


def test_a_step_is_as_long_as_one_of_adamw_along_the_orthogonalised_momentum(exact):
    layer = nn.Linear(50, 20, bias=False)
    before = layer.weight.detach().clone()
    optimizer = Muon([{"params": [layer.weight]}], lr=1e-3)
    layer.weight.grad = torch.randn(20, 50, generator=torch.Generator().manual_seed(2))
    optimizer.step()
    moved = before - layer.weight.detach()
    steps_of_adamw = 0.2e-3  # root mean square, as Liu et al. find it
    assert moved.square().mean().sqrt().item() == pytest.approx(steps_of_adamw, rel=0.25)
    # The first momentum lies along the gradient, whatever its length.
    assert torch.allclose(moved, 0.2e-3 * 50**0.5 * orthogonal(layer.weight.grad[None])[0].float(), atol=1e-5)


def test_the_kernels_of_a_convolution_step_as_a_matrix_of_its_channels(exact):
    layer = nn.Conv2d(8, 6, 3, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(3))
    Muon([{"params": [layer.weight]}], lr=1e-3).step()
    expected = orthogonal(layer.weight.grad.flatten(1)[None])[0].float().view(6, 8, 3, 3)
    assert torch.allclose(before - layer.weight.detach(), 0.2e-3 * 72**0.5 * expected, atol=1e-5)


def test_what_is_not_used_is_not_stepped():
    layer = nn.Linear(3, 3, bias=False)
    before = layer.weight.detach().clone()
    Muon([{"params": [layer.weight]}], lr=1.0).step()
    assert torch.equal(layer.weight, before)


def one_of_two(rank: int, folder) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    done = []
    muon.orthogonal = lambda stack: done.append(len(stack)) or orthogonal(stack)
    found = shared_orthogonal(matrices())
    torch.save({"found": found, "done": sum(done)}, folder / f"{rank}.pt")


def test_two_processes_find_together_what_one_finds_alone_each_doing_a_part(tmp_path):
    multiprocessing.start_processes(partial(one_of_two, folder=tmp_path), nprocs=2, start_method="fork")
    alone = shared_orthogonal(matrices())
    told = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert [one["done"] for one in told] == [3, 2]
    for one in told:
        for found, expected in zip(one["found"], alone, strict=True):
            assert torch.allclose(found, expected, atol=1e-2)
