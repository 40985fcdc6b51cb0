import pytest
import torch
from torch import nn

from vendor_model.models.voxel_decoder import Convolution, VoxelDecoder, tokens_to_grid


@pytest.mark.parametrize("count", [1, 2])
def test_a_convolution_is_pytorchs_for_one_grid_and_for_several(count):
    torch.manual_seed(0)
    ours = Convolution(3, 5)
    theirs = nn.Conv3d(3, 5, 3, padding=1)
    theirs.load_state_dict(ours.state_dict())
    grids = [torch.randn(count, 3, 4, 5, 6).requires_grad_() for _ in range(2)]
    grids[1].data.copy_(grids[0].data)
    results = [convolution(grid) for convolution, grid in zip((ours, theirs), grids, strict=True)]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().sum().backward()
    torch.testing.assert_close(grids[0].grad, grids[1].grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)


def test_a_grid_is_decoded_alike_alone_and_among_others():
    torch.manual_seed(0)
    decoder = VoxelDecoder(1, 4, 1, [8, 4], 1)
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    grids = tokens_to_grid(torch.randn(2, 8, 4))
    torch.testing.assert_close(decoder(grids[:1])[0], decoder(grids)[0], rtol=1e-4, atol=1e-4)


def test_only_one_small_float32_grid_is_sliced(monkeypatch):
    left_to_pytorch = []
    monkeypatch.setattr(nn.Conv3d, "forward", lambda self, x: left_to_pytorch.append(tuple(x.shape)) or x)
    convolution, small, large = Convolution(2, 2), torch.zeros(1, 2, 4, 4, 4), torch.zeros(1, 2, 101, 102, 1)
    convolution(small)
    assert left_to_pytorch == []
    convolution(large)
    convolution(small.expand(2, -1, -1, -1, -1))
    with torch.autocast("cpu", torch.bfloat16):
        convolution(small)
    assert len(left_to_pytorch) == 3
