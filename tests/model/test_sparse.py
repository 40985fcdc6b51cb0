"""Sparse layers against plain dense ones, at sizes where bookkeeping goes wrong."""

import pytest
import torch
import torch.nn.functional as F

from vendor_model.models import latent_decoders
from vendor_model.models.latent_decoders import MeshDecoder
from vendor_model.models.texture_flow import TextureFlow
from vendor_model.sparse import convolution
from vendor_model.sparse.attention import attend_within, item_groups, window_groups
from vendor_model.sparse.convolution import SubmanifoldConvolution
from vendor_model.sparse.grid import SparseGrid


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


SIZES = [(1, 1, 1.0), (1, 2, 0.5), (3, 5, 0.3), (2, 7, 0.05), (4, 3, 1.0), (1, 13, 0.2)]
"""Batch, cells along an edge, share of cells present."""


def random_grid(batch: int, side: int, share: float, seed: int = 0, order: str = "shuffled") -> SparseGrid:
    """Cells in any order inside their item; item 0 always has its far corner cell."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(batch, side, side, side, generator=generator) < share
    present[0, -1, -1, -1] = True
    coords = present.nonzero()
    if order == "shuffled":
        coords = coords[torch.randperm(len(coords), generator=generator)]
        coords = coords[coords[:, 0].argsort(stable=True)]
    return SparseGrid(coords, batch)


def to_volume(feats: torch.Tensor, grid: SparseGrid, side: int) -> torch.Tensor:
    """(N, C) -> (B, C, side, side, side), zero where no cell is."""
    volume = feats.new_zeros(grid.batch_size, side, side, side, feats.shape[1])
    return volume.index_put(tuple(grid.coords.long().unbind(1)), feats).permute(0, 4, 1, 2, 3)


def dense_convolution(layer: SubmanifoldConvolution, feats: torch.Tensor, grid: SparseGrid, side: int):
    kernel = layer.conv.weight.permute(0, 4, 1, 2, 3)
    result = F.conv3d(to_volume(feats, grid, side), kernel, layer.conv.bias, padding=1)
    item, x, y, z = grid.coords.long().unbind(1)
    return result[item, :, x, y, z]


def biased_layer(channels: int, out_channels: int) -> SubmanifoldConvolution:
    layer = SubmanifoldConvolution(channels, out_channels)
    torch.nn.init.normal_(layer.conv.bias)
    return layer


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_convolution_and_its_gradients_are_those_of_a_dense_one(size):
    grid, layer = random_grid(*size), biased_layer(3, 5)
    feats = torch.randn(len(grid), 3, requires_grad=True)
    leaves = [feats, layer.conv.weight, layer.conv.bias]
    sparse = layer(feats, grid.links)
    dense = dense_convolution(layer, feats, grid, size[1])
    torch.testing.assert_close(sparse, dense, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(feats, grid.links), dense, rtol=1e-4, atol=1e-5)
    outgoing = torch.randn_like(sparse)
    for ours, theirs in zip(
        torch.autograd.grad(sparse, leaves, outgoing),
        torch.autograd.grad(dense, leaves, outgoing),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_convolution_of_no_cells_is_empty():
    grid = SparseGrid(torch.zeros(0, 4, dtype=torch.int32), batch_size=2)
    assert grid.lengths == [0, 0]
    layer = SubmanifoldConvolution(3, 5)
    assert layer(torch.zeros(0, 3), grid.links).shape == (0, 5)
    assert layer.after_subdivision(torch.zeros(0, 3), grid).shape == (0, 5)
    with torch.no_grad():
        assert layer.within_subdivision(torch.zeros(0, 3), grid).shape == (0, 5)
    assert len(grid.coarse) == 0 and grid.pool(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_eight_taps_after_a_subdivision_equal_twenty_seven(size):
    grid, layer = random_grid(*size), biased_layer(3, 4)
    feats = torch.randn(len(grid), 3)
    searched = SparseGrid(grid.subdivided.coords, grid.batch_size).neighbours
    assert torch.equal(grid.subdivided.neighbours, searched)
    expected = layer(feats.repeat_interleave(8, dim=0), grid.subdivided.links)
    torch.testing.assert_close(layer.after_subdivision(feats, grid), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer.after_subdivision(feats, grid), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gathered", [convolution.GATHERED, 1])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_convolving_children_by_their_parents_links_equals_convolving_them(size, gathered, monkeypatch):
    monkeypatch.setattr(convolution, "GATHERED", gathered)
    grid, layer = random_grid(*size), biased_layer(3, 4)
    feats = torch.randn(8 * len(grid), 3)
    expected = layer(feats, grid.subdivided.links)
    torch.testing.assert_close(layer.within_subdivision(feats, grid), expected)
    with torch.no_grad():
        torch.testing.assert_close(layer.within_subdivision(feats, grid), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cells", [latent_decoders.SLICE, 1, 5])
def test_group_norm_in_slices_is_that_of_all_cells(cells, monkeypatch):
    monkeypatch.setattr(latent_decoders, "SLICE", cells)
    norm = latent_decoders.SparseGroupNorm(4, 12)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    grid = random_grid(3, 4, 0.2)
    x = 5 + torch.randn(len(grid), 12)
    expected = [F.group_norm(item.T[None], 4, norm.weight, norm.bias)[0].T for item in x.split(grid.lengths)]
    torch.testing.assert_close(norm(x, grid), torch.cat(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_convolving_coarse_features_equals_convolving_them_upsampled(size):
    grid, layer = random_grid(*size), biased_layer(3, 4)
    feats = torch.randn(len(grid.coarse), 3)
    expected = dense_convolution(layer, feats[grid.coarse_rows], grid, size[1])
    torch.testing.assert_close(layer(feats, grid.coarse_links), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pooling_divides_the_sum_by_one_more_than_the_count(size):
    grid = random_grid(*size)
    feats = torch.randn(len(grid), 2)
    even = size[1] + size[1] % 2
    ones = torch.ones(len(grid), 1)
    total, present = (8 * F.avg_pool3d(to_volume(x, grid, even), 2) for x in (feats, ones))
    item, x, y, z = grid.coarse.coords.long().unbind(1)
    expected = (total / (present + 1))[item, :, x, y, z]
    torch.testing.assert_close(grid.pool(feats), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(grid.coarse.coords.unique(dim=0), grid.coarse.coords)


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_attend_to_themselves_alone(shift):
    grid = random_grid(2, 9, 0.4)
    windows = window_groups(grid, 4, shift)
    queries, keys, values = torch.randn(3, len(grid), 2, 6).unbind(0)
    cells = torch.cat([grid.coords[:, :1], (grid.coords[:, 1:] + shift) // 4], dim=1)
    same = (cells[:, None] == cells[None]).all(-1)
    heads_first = [x.transpose(0, 1) for x in (queries, keys, values)]
    expected = F.scaled_dot_product_attention(*heads_first, attn_mask=same).transpose(0, 1)
    torch.testing.assert_close(attend_within(queries, keys, values, windows), expected, rtol=1e-4, atol=1e-5)


def test_an_item_without_cells_is_refused_by_attention():
    with pytest.raises(AssertionError, match="without cells"):
        item_groups(SparseGrid(torch.zeros(1, 4, dtype=torch.int32), batch_size=2))


def small_flow() -> TextureFlow:
    flow = TextureFlow(8, 8, 36, 20, 8, num_blocks=2, num_heads=3, io_block_channels=(16,))
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return flow


@torch.no_grad()
def test_flow_of_a_batch_is_the_flow_of_each_item():
    flow, grid = small_flow(), random_grid(3, 8, 0.15)
    latent, times, tokens = (
        torch.randn(len(grid), 8),
        torch.tensor([0.0, 400.0, 990.0]),
        torch.randn(3, 7, 20),
    )
    together = flow(latent, times, flow.prepare_coords(grid.coords), flow.prepare_context(tokens))
    for item, part in enumerate(latent.split(grid.lengths)):
        coords = grid.coords[grid.coords[:, 0] == item].clone()
        coords[:, 0] = 0
        context = flow.prepare_context(tokens[item : item + 1])
        alone = flow(part, times[item : item + 1], flow.prepare_coords(coords), context)
        torch.testing.assert_close(together.split(grid.lengths)[item], alone, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_flow_of_many_items_of_one_condition_shares_its_context():
    flow, grid = small_flow(), random_grid(4, 8, 0.15)
    latent, times, tokens = torch.randn(len(grid), 8), torch.rand(4) * 1000, torch.randn(2, 7, 20)
    prepared = flow.prepare_coords(grid.coords)
    shared = flow(latent, times, prepared, flow.prepare_context(tokens))
    repeated = flow(latent, times, prepared, flow.prepare_context(tokens.repeat_interleave(2, dim=0)))
    torch.testing.assert_close(shared, repeated, rtol=1e-3, atol=1e-4)


def test_every_parameter_of_the_flow_learns():
    flow, grid = small_flow(), random_grid(2, 8, 0.15)
    context = flow.prepare_context(torch.randn(2, 7, 20))
    velocity = flow(
        torch.randn(len(grid), 8), torch.rand(2) * 1000, flow.prepare_coords(grid.coords), context
    )
    velocity.square().mean().backward()
    silent = [name for name, p in flow.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@torch.no_grad()
def test_mesh_decoder_treats_items_of_a_batch_apart():
    decoder, grid = (
        MeshDecoder(8, 64, 8, 2, 2, window_size=4, upsample_channels=(32,)),
        random_grid(2, 8, 0.2),
    )
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    latent = torch.randn(len(grid), 8)
    together, cubes = decoder(latent, grid)
    assert decoder.output_resolution == 16 and cubes is grid.subdivided
    alone, _ = decoder(latent[: grid.lengths[0]], SparseGrid(grid.coords[: grid.lengths[0]]))
    torch.testing.assert_close(together[: len(alone)], alone, rtol=1e-3, atol=1e-4)
