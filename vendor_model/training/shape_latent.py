"""The shape latent that mini's geometry model learns to predict: a linear code of distance patches.

The truncated signed distance of an object on an R³ grid is cut into patches of p³ cells; each patch is
one token, its coordinates along the leading principal components of many objects' patches. This stands
in for the encoder of the paper's occupancy VAE; the decoder is the specified one (voxel_decoder.py) and
is trained on these codes. Latent width, not voxels, limits thin parts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vendor_model.moving import move

TRUNCATION = 0.1
"""Distances are cut at ± this many object lengths and divided by it: to -1..1."""


@dataclass(frozen=True)
class ShapeCode:
    """mean: (p³,); basis: (p³, C) orthonormal columns; scale: (C,) factor on each coordinate."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    @property
    def patch(self) -> int:
        return round(self.mean.numel() ** (1 / 3))

    def encode(self, grids: Tensor) -> Tensor:
        """Distances (B, R, R, R) -> tokens (B, (R/p)³, C), row-major like the flow model's grid."""
        return ((patches(grids, self.patch) - self.mean) @ self.basis) * self.scale

    def decode(self, tokens: Tensor) -> Tensor:
        """Least-squares inverse of `encode`: tokens (B, T, C) -> truncated distances (B, R, R, R)."""
        values = (tokens / self.scale) @ self.basis.T + self.mean
        side, p = round(tokens.shape[1] ** (1 / 3)), self.patch
        grid = values.reshape(-1, side, side, side, p, p, p).permute(0, 1, 4, 2, 5, 3, 6)
        return grid.reshape(-1, side * p, side * p, side * p)

    def to(self, device: torch.device) -> "ShapeCode":
        return ShapeCode(self.mean.to(device), self.basis.to(device), self.scale.to(device))

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as file:
            np.savez(file, mean=self.mean.numpy(), basis=self.basis.numpy(), scale=self.scale.numpy())
        move(partial, path)

    @classmethod
    def load(cls, path: Path) -> "ShapeCode":
        with np.load(path, allow_pickle=False) as arrays:
            return cls(*(torch.from_numpy(arrays[name]) for name in ("mean", "basis", "scale")))


def truncate(distances):
    """Signed distances in object lengths -> -1..1 (array or tensor)."""
    return (distances / TRUNCATION).clip(-1, 1)


def patches(grids: Tensor, patch: int) -> Tensor:
    """(B, R, R, R) distances -> (B, (R/p)³, p³) truncated ones."""
    side = grids.shape[1] // patch
    cells = truncate(grids).reshape(-1, side, patch, side, patch, side, patch).permute(0, 1, 3, 5, 2, 4, 6)
    return cells.reshape(grids.shape[0], side**3, patch**3)


def fit(grids: Tensor, patch: int, channels: int) -> ShapeCode:
    """Principal components of the patches of many objects (N, R, R, R).

    Coordinates are divided by the square root of their deviation, then by one common factor, to unit
    mean square: half way between whitening, which would spend the flow model on noise, and none, which
    would drown all but the first few under the flow's start noise.
    """
    cells = patches(grids, patch).flatten(0, 1).double()
    mean = cells.mean(0)
    covariance = (cells - mean).T @ (cells - mean) / len(cells)
    variance, vectors = torch.linalg.eigh(covariance)
    variance, basis = variance.flip(0)[:channels], vectors.flip(1)[:, :channels]
    scale = variance.clamp_min(1e-8) ** -0.25
    scale = scale / (variance * scale**2).mean().sqrt()
    return ShapeCode(mean.float(), basis.float().contiguous(), scale.float())


def disturbed(tokens: Tensor, rng: torch.Generator) -> Tensor:
    """Codes (B, T, C) with up to 0.4 deviations of noise each, as a flow model errs."""
    amount = 0.4 * torch.rand(len(tokens), 1, 1, generator=rng, device=rng.device)
    return tokens + amount * torch.randn(tokens.shape, generator=rng, device=rng.device)
