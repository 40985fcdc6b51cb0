"""Generated objects as triangle meshes."""

import numpy as np
import torch
import torch.nn.functional as F

from vendor_model.surface.flexicubes import corner_ids, flexicubes
from vendor_model.training.objects import ObjectShape, distance_grid
from vendor_model.training.structured_latent import on_surface
from vendor_model.types import Surface


def object_surface(shape: ObjectShape, resolution: int = 64) -> Surface:
    """The surface of an object, in its frame: dual contouring of its distances on a grid of R³ points, the
    vertices moved onto the true surface. Parts thinner than 1 / R would be lost; the generator makes none.
    """
    distances = torch.from_numpy(distance_grid(shape, resolution))
    inside = F.avg_pool3d((distances < 0).float()[None], 2, stride=1)[0]
    cubes = ((inside > 0) & (inside < 1)).nonzero()
    ids, rows = corner_ids(cubes, resolution - 1).unique(return_inverse=True)
    places = torch.stack([ids // resolution**2, ids // resolution % resolution, ids % resolution], dim=-1)
    corners = (places + 0.5) / resolution - 0.5
    mesh = flexicubes(cubes, rows, distances.flatten()[ids], corners, corners[:, :0], resolution - 1)
    vertices = on_surface(shape, mesh.vertices.numpy()).astype(np.float32)
    return Surface(vertices, mesh.faces.int().numpy(), shape.albedo(vertices))
