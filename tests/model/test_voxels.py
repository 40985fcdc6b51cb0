import pytest
import torch

from vendor_model import voxels
from vendor_model.errors import EmptyReconstructionError


def solid_cube(side: int, size: int) -> torch.Tensor:
    logits = torch.full((1, 1, size, size, size), -1.0)
    logits[..., :side, :side, :side] = 1.0
    return logits


def test_pruning_leaves_the_shell_also_at_the_border_of_the_grid():
    coords = voxels.prune(voxels.occupied(solid_cube(6, 6)), 1)
    assert len(coords) == 6**3 - 4**3


def test_too_many_voxels_are_halved_and_then_thinned():
    coords, factor = voxels.sparse_structure(solid_cube(16, 20), 0, max_coords=700)
    assert (factor, len(coords)) == (2, 8**3)
    thinned, factor = voxels.sparse_structure(solid_cube(16, 20), 0, max_coords=300)
    assert (factor, len(thinned), len(thinned.unique(dim=0))) == (2, 300, 300)


def test_flat_object_can_be_halved():
    logits = torch.full((1, 1, 8, 8, 8), -1.0)
    logits[..., 3] = 1.0
    coords, factor = voxels.sparse_structure(logits, 0, max_coords=20)
    assert (factor, len(coords)) == (2, 16)
    assert coords.amin() >= 0


def test_grid_without_a_voxel_is_refused():
    with pytest.raises(EmptyReconstructionError, match="0 solid voxels"):
        voxels.sparse_structure(torch.zeros(1, 1, 4, 4, 4))
