"""What the decoders of the structured latent should answer, read off generated objects.

Cube corners get the true distance, albedo and normal; splats get points of the surface beside their
cell. Both are compared number by number, so no renderer is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vendor_model.sparse.grid import CHILD_OFFSETS
from vendor_model.surface.extraction import COLOR_CHANNELS, FEATURE_SPLIT
from vendor_model.surface.flexicubes import CORNERS
from vendor_model.surface.gaussians import (
    BAND_0,
    GaussianParameters,
    GaussianSettings,
    initial_offsets,
    opacities,
    scales,
)
from vendor_model.training.objects import ObjectShape, distance_grid, make_object
from vendor_model.training.structured_latent import (
    features,
    occupied_voxels,
    on_surface,
    shell_coords,
    surface_normals,
)
from vendor_model.training.trainer import Figures

SDF_GAIN = 8.0
"""Corner distances are predicted times this: a mesh only asks for their ratios, a network for their size."""

SDF_REACH = 3.0
"""Corner distances are cut at this many cubes."""

SPLAT_SCALE, SPLAT_OPACITY = 0.4, 0.9
"""Standard deviation in cells and opacity that every splat should have."""


@dataclass(frozen=True)
class Targets:
    """coords: (N, 4) cells; latent: (N, 8); per cube (8N of them) and corner: sdf (8N, 8) in object lengths,
    albedo and normals (8N, 8, 3) in 0..1; resolution: of the cubes. Per splat (N · K): points (object
    frame) and point_colors, (N · K, 3)."""

    coords: Tensor
    latent: Tensor
    sdf: Tensor
    albedo: Tensor
    normals: Tensor
    resolution: int
    points: Tensor
    point_colors: Tensor


def stream(rng: np.random.Generator, voxels: int, cubes: int, splats: int) -> Iterator[Targets]:
    """Targets of one new random object after another."""
    while True:
        yield targets(make_object(rng), voxels, cubes, splats)


def targets(shape: ObjectShape, voxels: int, cubes: int, splats: int) -> Targets:
    """Targets of one object: voxels and cubes along an edge (twice as many), splats a voxel."""
    coords = shell_coords(occupied_voxels(distance_grid(shape, voxels)), 1)
    latent = torch.from_numpy(features(shape, coords, voxels))
    cells = coords[:, 1:].numpy().astype(np.int64)
    children = (2 * cells[:, None] + np.array(CHILD_OFFSETS)).reshape(-1, 3)
    corners = children[:, None] + np.asarray(CORNERS)
    side = cubes + 1
    ids, rows = np.unique((corners @ np.array([side * side, side, 1])).ravel(), return_inverse=True)
    grid = np.stack([ids // (side * side), ids // side % side, ids % side], axis=1)
    points = (grid / cubes - 0.5).astype(np.float32)
    distances, normals = shape.distance(points), surface_normals(shape, points)
    albedo = shape.albedo((points - distances[:, None] * normals).astype(np.float32))
    rows = torch.from_numpy(rows.reshape(-1, 8))
    settings = GaussianSettings(num_gaussians=splats)
    spread = initial_offsets(settings).tanh().numpy() * 0.5 * settings.voxel_size
    starts = ((cells[:, None] + 0.5 + spread) / voxels - 0.5).reshape(-1, 3).astype(np.float32)
    splat_points = on_surface(shape, starts).astype(np.float32)
    return Targets(
        coords,
        latent,
        torch.from_numpy(distances)[rows],
        torch.from_numpy(albedo)[rows],
        torch.from_numpy(normals * 0.5 + 0.5)[rows],
        cubes,
        torch.from_numpy(splat_points),
        torch.from_numpy(shape.albedo(splat_points)),
    )


def cube_loss(cube_features: Tensor, truth: Targets) -> tuple[Tensor, Figures]:
    """Features (8N, 101) of the mesh decoder against the truth."""
    sdf, deformation, weights, colors = cube_features.split(FEATURE_SPLIT, dim=1)
    colors = colors.unflatten(1, (8, COLOR_CHANNELS)).sigmoid()
    reach = SDF_REACH / truth.resolution
    wanted = (
        truth.sdf.clamp(-reach, reach) * SDF_GAIN + 1 / truth.resolution
    )  # extraction takes 1 / R off again
    near = 1.0 + 4.0 * (truth.sdf.abs() < 1.5 / truth.resolution)
    distance = (near * (sdf - wanted).abs()).mean() / (SDF_GAIN / truth.resolution)
    color = (colors[..., :3] - truth.albedo).abs().mean()
    normal = (colors[..., 3:] - truth.normals).abs().mean()
    still = deformation.square().mean() + weights.square().mean()
    signs = ((sdf - 1 / truth.resolution > 0) != (truth.sdf > 0)).float().mean()
    loss = distance + 2.0 * color + 0.5 * normal + 0.01 * still
    return loss, {"distance": distance, "wrong_signs": signs, "corner_color": color}


def splat_loss(
    parameters: GaussianParameters, settings: GaussianSettings, truth: Targets
) -> tuple[Tensor, Figures]:
    """Stored parameters of N · K splats against points of the surface."""
    cells = truth.resolution // 2
    offset = (parameters.xyz - 0.5 - truth.points).abs().mean() * cells
    color = (BAND_0 * parameters.features_dc + 0.5 - truth.point_colors).abs().mean()
    size = (scales(parameters.scaling, settings) * cells / SPLAT_SCALE).log().square().mean()
    opacity = (opacities(parameters.opacity, settings) - SPLAT_OPACITY).square().mean()
    loss = offset + 2.0 * color + 0.1 * size + opacity + 0.01 * parameters.rotation.square().mean()
    return loss, {"splat_offset": offset, "splat_color": color}
