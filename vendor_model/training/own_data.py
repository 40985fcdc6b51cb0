"""Scenes of one's own as training samples: photos whose objects' meshes and poses are known.

They are read from folders as `vendor_model.evaluation.scenes` describes. The released weights come without
an encoder of shapes, so a shape's latent is sought: the one from which the decoder makes its voxels.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vendor_model.config import PipelineConfig
from vendor_model.errors import MaskError
from vendor_model.evaluation.clouds import cloud, filled, moved, surface_voxels
from vendor_model.evaluation.registration import unit_box
from vendor_model.evaluation.subjects import KnownPhoto
from vendor_model.layout.transforms import decompose, matrix_to_quaternion
from vendor_model.models.voxel_decoder import tokens_to_grid
from vendor_model.preprocessing import geometry_inputs, prepare_photo
from vendor_model.training.samples import stored_inputs, stored_pose
from vendor_model.types import Pose

SEARCH_STEPS, SEARCH_RATE = 300, 0.1
LATENT_PENALTY = 1e-3
"""Keeps a latent near the standard normal ones that the flow model starts from."""


def scene_samples(
    known: KnownPhoto, config: PipelineConfig, decoder: nn.Module, latent_shape: tuple[int, int]
) -> Iterator[dict[str, np.ndarray]]:
    """Every object of a photo as named arrays like those of `samples.object_samples`, with its latent as
    `shape` (tokens, channels). Objects without a usable mask or pose are left out."""
    photo = prepare_photo(known.rgb, known.points, config.ss_preprocessor)
    for subject in known.subjects:
        try:
            inputs = geometry_inputs(photo, subject.mask, config.ss_preprocessor)
        except MaskError:
            continue
        spread = cloud(subject.vertices, subject.faces)
        into_box = unit_box(spread.vertices)
        pose = stored_pose(_pose(into_box, subject.placement), inputs)
        if pose is None:
            continue
        solid = occupancy(moved(spread.points, into_box), decoder_resolution(decoder, latent_shape))
        latent = find_latent(decoder, torch.from_numpy(solid), latent_shape)
        yield {
            **stored_inputs(inputs, config.ss_preprocessor.size),
            **pose,
            "shape": latent.numpy(),
            "visible_fraction": np.float32(subject.visible),
            "category": np.array(subject.category),
        }


def _pose(into_box: np.ndarray, placement: np.ndarray) -> Pose:
    """Of an object that fills the cube [-0.5, 0.5]³; into_box: (4, 4), its mesh to -1..1."""
    from_cube = np.linalg.inv(into_box @ np.diag([0.5, 0.5, 0.5, 1.0])) @ placement
    rotation, translation, scale = decompose(torch.from_numpy(from_cube))
    return Pose(matrix_to_quaternion(rotation).numpy(), translation.numpy(), scale.numpy())


def occupancy(points: np.ndarray, resolution: int) -> np.ndarray:
    """(R, R, R) bool voxels of the solid whose surface points (N, 3) lie in -1..1."""
    middle = slice(resolution // 2, resolution // 2 + resolution)
    return filled(surface_voxels(points, resolution))[middle, middle, middle]


def decoder_resolution(decoder: nn.Module, latent_shape: tuple[int, int]) -> int:
    """Voxels along an edge that a decoder makes of a latent (tokens, channels)."""
    with torch.no_grad():
        return decoder(tokens_to_grid(_zeros(decoder, latent_shape))).shape[-1]


@torch.enable_grad()
def find_latent(decoder: nn.Module, solid: Tensor, latent_shape: tuple[int, int]) -> Tensor:
    """The latent (tokens, channels), on the CPU, that a frozen decoder turns into voxels (R, R, R) bool."""
    latent = _zeros(decoder, latent_shape).requires_grad_()
    target = solid.float().to(latent.device)[None, None]
    optimizer = torch.optim.Adam([latent], lr=SEARCH_RATE)
    for _ in range(SEARCH_STEPS):
        optimizer.zero_grad()
        logits = decoder(tokens_to_grid(latent)).float()
        loss = F.binary_cross_entropy_with_logits(logits, target) + LATENT_PENALTY * latent.square().mean()
        loss.backward()
        optimizer.step()
    return latent.detach()[0].cpu()


def _zeros(decoder: nn.Module, latent_shape: tuple[int, int]) -> Tensor:
    return torch.zeros(1, *latent_shape, device=next(decoder.parameters()).device)
