"""What is measured: a model with weights or with random ones, and an object of as many voxels as wanted."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vendor_model import checkpoints
from vendor_model.checkpoints.modules import without_weights
from vendor_model.config import PipelineConfig, read_pipeline
from vendor_model.depth import external_point_map
from vendor_model.device import choose_device
from vendor_model.pipeline import PhotoScene, Pipeline, Shape, prepare_scene
from vendor_model.precision import product_dtype, weight_dtype
from vendor_model.residency import MemoryMode, Residency
from vendor_model.surface.flexicubes import CORNERS
from vendor_model.types import Photo, Pose

PHOTO_SIZE = (480, 640)


def random_pipeline(folder: Path, device: str, memory: MemoryMode | None) -> Pipeline:
    """The model that a folder configures, with random weights, which no file holds."""
    config, chosen = read_pipeline(folder), choose_device(device)

    def dtype(name: str) -> torch.dtype:
        return product_dtype(name, chosen, config.dtype)

    def load(name: str) -> nn.Module:
        return random_module(folder, config, name, dtype(name), chosen)

    weights = sum(_bytes(folder, config, name, dtype(name)) for name in module_names())
    return Pipeline(config, Residency(load, dtype, chosen, weights, memory))


def module_names() -> list[str]:
    return [name for names in checkpoints.WEIGHTS.values() for name in names]


def random_module(
    folder: Path, config: PipelineConfig, name: str, dtype: torch.dtype, device: torch.device
) -> nn.Module:
    """One module by its name in `checkpoints.WEIGHTS`: matrices drawn, norms plain."""
    with without_weights():
        module = checkpoints.build_one(folder, config, name)
    drawn = {key: _draw(key, parameter, dtype, device) for key, parameter in module.named_parameters()}
    module.load_state_dict(drawn, strict=False, assign=True)
    return module.eval().requires_grad_(False).to(device)


def _draw(key: str, like: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    kept = torch.empty(like.shape, dtype=weight_dtype(key, tuple(like.shape), dtype), device=device)
    if like.dim() == 1 or key.endswith("gamma"):
        return kept.fill_(0.0 if key.endswith("bias") else 1.0)
    # Matrices neither shrink nor blow up what passes, so that every layer has its say.
    return kept.normal_(std=like[0].numel() ** -0.5 if key.endswith("weight") else 0.02)


def _bytes(folder: Path, config: PipelineConfig, name: str, dtype: torch.dtype) -> int:
    with without_weights():
        module = checkpoints.build_one(folder, config, name)
    return sum(
        tensor.numel() * weight_dtype(key, tuple(tensor.shape), dtype).itemsize
        for key, tensor in module.state_dict().items()
    )


def scene(config: PipelineConfig) -> tuple[PhotoScene, np.ndarray]:
    """A photo of noise before a slope, and the mask of a disc in it."""
    height, width = PHOTO_SIZE
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    depth = 2 + rows / height
    points = np.stack([(width / 2 - columns) / width * depth, (height / 2 - rows) / width * depth, depth], -1)
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.hypot(rows - height / 2, columns - width / 2) < height / 4
    photo = Photo(rgb, focal_px=float(width))
    return prepare_scene(config, photo, external_point_map(points, photo.size, photo.focal_px)), mask


def shell(voxels: int, resolution: int, device: torch.device) -> Tensor:
    """(N, 4) int32 coordinates of the cells nearest to a sphere that nearly fills the grid, sorted."""
    axis = torch.arange(resolution) - (resolution - 1) / 2
    distance = (torch.cartesian_prod(axis, axis, axis).norm(dim=1) - _radius(resolution)).abs()
    cells = distance.argsort(stable=True)[:voxels].sort().values
    coords = [cells // resolution**2, cells // resolution % resolution, cells % resolution]
    return torch.stack([torch.zeros_like(cells), *coords], dim=1).int().to(device)


def shape(voxels: int, resolution: int, device: torch.device) -> Shape:
    """What the geometry stage would hand on for an object of that many voxels."""
    coords = shell(voxels, resolution, device)
    pose = Pose(np.array([1.0, 0, 0, 0]), np.array([0, 0, 2.0]), np.ones(3))
    return Shape(coords, pose, torch.Generator().manual_seed(0))


def as_sphere(features: Tensor, cubes: Tensor, resolution: int) -> Tensor:
    """Cube features (C, 101) with the signed distances of a sphere through the middle of the shell, in place:
    drawn ones would make a surface in every cube."""
    corners = cubes.unsqueeze(1) + torch.tensor(CORNERS, device=cubes.device)
    distance = (corners.float() - resolution / 2).norm(dim=-1) - _radius(resolution)
    features[:, :8] = distance / resolution
    return features


def _radius(resolution: int) -> float:
    return 0.46 * resolution
