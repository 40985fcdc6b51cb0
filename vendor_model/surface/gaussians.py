"""Numbers of the Gaussian decoder's head, and the splats they mean (spec texture.md §5).

A splat's stored parameters are those of the released classes; the functions here activate them one kind at a
time, differentiably, and `activate` all together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vendor_model.types import Gaussians

BAND_0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 √π)."""


@dataclass(frozen=True)
class GaussianSettings:
    """`representation_config` of the released yaml.

    num_gaussians: splats a cell; voxel_size: reach of their offsets in cells; scaling_bias, opacity_bias:
    scale and opacity of a head of zeros; kernel: smallest standard deviation; perturb_offset: offsets start
    spread over the cell; rates: factor on the head's numbers by parameter (`lr`).
    """

    num_gaussians: int = 32
    voxel_size: float = 1.5
    scaling_bias: float = 0.004
    opacity_bias: float = 0.1
    kernel: float = 0.0009
    perturb_offset: bool = True
    rates: Mapping[str, float] = field(default_factory=lambda: {"_rotation": 0.1})

    @classmethod
    def from_config(cls, content: Mapping) -> "GaussianSettings":
        """From the yaml's mapping; raises TypeError for what this decoder cannot do."""
        values = dict(content)
        values.pop("2d_filter_kernel_size", None)  # a renderer's setting that the decoder never reads
        activation = values.pop("scaling_activation", "softplus")
        if activation != "softplus":
            raise TypeError(f"scaling_activation is {activation!r}, only 'softplus' is known")
        for name, released in {"kernel": "3d_filter_kernel_size", "rates": "lr"}.items():
            if released in values:
                values[name] = values.pop(released)
        return cls(**values)

    @property
    def head_channels(self) -> int:
        return 14 * self.num_gaussians


class GaussianParameters(NamedTuple):
    """Stored parameters of M splats, a cell's splats consecutive.

    xyz: (M, 3) in the box [0, 1]; features_dc: (M, 3); scaling: (M, 3) and opacity: (M, 1) before bias and
    activation; rotation: (M, 4), the quaternion (w, x, y, z) less (1, 0, 0, 0).
    """

    xyz: Tensor
    features_dc: Tensor
    scaling: Tensor
    rotation: Tensor
    opacity: Tensor


def initial_offsets(settings: GaussianSettings) -> Tensor:
    """(num_gaussians, 3) buffer `offset_perturbation`: a Hammersley set over the cell, before the tanh."""
    count = settings.num_gaussians
    if not settings.perturb_offset:
        return torch.zeros(count, 3)
    points = [(k / count, _radical_inverse(k, 2), _radical_inverse(k, 3)) for k in range(count)]
    spread = (2 * torch.tensor(points, dtype=torch.float64) - 1) / settings.voxel_size
    return spread.atanh().float()


def _radical_inverse(number: int, base: int) -> float:
    value, digit = 0.0, 1.0 / base
    while number:
        number, remainder = divmod(number, base)
        value += remainder * digit
        digit /= base
    return value


def split_head(
    head: Tensor, coords: Tensor, offset_perturbation: Tensor, resolution: int, settings: GaussianSettings
) -> GaussianParameters:
    """Head (N, 14K) of the cells coords (N, 4) of a grid of `resolution` -> parameters of N · K splats."""
    count = settings.num_gaussians
    names = ("_xyz", "_features_dc", "_scaling", "_rotation", "_opacity")
    parts = head.split([3 * count, 3 * count, 3 * count, 4 * count, count], dim=1)
    offset, *others = (
        part.unflatten(1, (count, -1)) * settings.rates.get(name, 1.0)
        for name, part in zip(names, parts, strict=True)
    )
    centers = (coords[:, None, 1:] + 0.5) / resolution
    reach = 0.5 * settings.voxel_size / resolution
    xyz = centers + (offset + offset_perturbation).tanh() * reach
    return GaussianParameters(xyz.flatten(0, 1), *(part.flatten(0, 1) for part in others))


def positions(xyz: Tensor) -> Tensor:
    """Stored xyz -> object frame, the cube [-0.5, 0.5]³."""
    return xyz - 0.5


def scales(scaling: Tensor, settings: GaussianSettings) -> Tensor:
    """Stored scaling -> standard deviations, the kernel's included."""
    bias = math.log(math.expm1(settings.scaling_bias))
    return (F.softplus(scaling + bias) ** 2 + settings.kernel**2).sqrt()


def opacities(opacity: Tensor, settings: GaussianSettings) -> Tensor:
    """Stored opacity -> 0..1."""
    bias = math.log(settings.opacity_bias / (1 - settings.opacity_bias))
    return (opacity + bias).sigmoid()


def quaternions(rotation: Tensor) -> Tensor:
    """Stored rotation -> quaternions (w, x, y, z), not of unit length."""
    return rotation + rotation.new_tensor([1.0, 0.0, 0.0, 0.0])


def unit(rotations: Tensor) -> Tensor:
    """Quaternions of any length -> of length one."""
    return F.normalize(rotations, dim=-1)


def colors(features_dc: Tensor) -> Tensor:
    """Spherical-harmonic band 0 -> display-referred (sRGB) colour, unclamped."""
    return BAND_0 * features_dc + 0.5


def activate(parameters: GaussianParameters, settings: GaussianSettings) -> Gaussians:
    """The splats, in the object frame."""
    arrays = {
        "positions": positions(parameters.xyz),
        "scales": scales(parameters.scaling, settings),
        "rotations": quaternions(parameters.rotation),
        "opacities": opacities(parameters.opacity, settings).squeeze(-1),
        "colors_dc": parameters.features_dc,
    }
    arrays = {name: values.detach().float().cpu().numpy() for name, values in arrays.items()}
    return Gaussians(**arrays, kernel=settings.kernel)
