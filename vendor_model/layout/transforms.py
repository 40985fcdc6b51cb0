"""Rotations and row-vector transforms, batched over leading dimensions (spec layout.md §1).

Quaternions are (w, x, y, z). R(q) is the usual column-vector matrix; a point is a row and is
multiplied from the left, p' = p @ R(q), so that it turns by the inverse of q.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """R(q) of a quaternion of any length: (..., 4) -> (..., 3, 3)."""
    w, x, y, z = quaternion.unbind(-1)
    k = 2 / quaternion.square().sum(-1)
    entries = [
        *(1 - k * (y * y + z * z), k * (x * y - z * w), k * (x * z + y * w)),
        *(k * (x * y + z * w), 1 - k * (x * x + z * z), k * (y * z - x * w)),
        *(k * (x * z - y * w), k * (y * z + x * w), 1 - k * (x * x + y * y)),
    ]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternion with w >= 0 of a rotation: (..., 3, 3) -> (..., 4)."""
    m = matrix
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    doubled = torch.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    doubled = doubled.clamp(min=0).sqrt()
    # Each component names the other three; dividing by the largest one is the stable choice.
    w, x, y, z = doubled.square().unbind(-1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    products = torch.stack([w, wx, wy, wz, wx, x, xy, xz, wy, xy, y, yz, wz, xz, yz, z], -1).unflatten(
        -1, (4, 4)
    )
    largest = doubled.argmax(-1, keepdim=True)
    row = products.gather(-2, largest.unsqueeze(-1).expand(*largest.shape, 4)).squeeze(-2)
    return _positive(row / (2 * doubled.gather(-1, largest)))


def quaternion_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product a ⊗ b with w >= 0: R(a ⊗ b) = R(a) @ R(b). (..., 4) each."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    product = [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
    return _positive(torch.stack(product, dim=-1))


def quaternion_conjugate(quaternion: Tensor) -> Tensor:
    """The inverse rotation of a unit quaternion: (..., 4)."""
    return quaternion * quaternion.new_tensor([1, -1, -1, -1])


def rotation_6d_to_matrix(rotation_6d: Tensor) -> Tensor:
    """Gram-Schmidt of two vectors, which become the first columns: (..., 6) -> (..., 3, 3)."""
    first, second = rotation_6d.unflatten(-1, (2, 3)).unbind(-2)
    first = F.normalize(first, dim=-1)
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """The first two columns, one after the other: (..., 3, 3) -> (..., 6)."""
    return matrix[..., :2].mT.flatten(-2)


def compose(rotation: Tensor, translation: Tensor, scale: Tensor) -> Tensor:
    """Row-vector matrix S·R·T: scale (..., 3) along the axes first, then p @ R, then translation (..., 3).

    rotation: R as (..., 3, 3). Returns (..., 4, 4); M1 @ M2 applies M1 first.
    """
    linear = F.pad(scale.unsqueeze(-1) * rotation, (0, 1))
    last = F.pad(translation, (0, 1), value=1.0).unsqueeze(-2)
    return torch.cat([linear, last], dim=-2)


def decompose(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (..., 3, 3), translation (..., 3), scale (..., 3) of a row-vector matrix S·R·T."""
    linear = matrix[..., :3, :3]
    scale = linear.norm(dim=-1)
    return linear / scale.unsqueeze(-1), matrix[..., 3, :3], scale


def transform_points(points: Tensor, matrix: Tensor) -> Tensor:
    """[p, 1] @ M, divided by its last entry: (..., N, 3) with (..., 4, 4) -> (..., N, 3)."""
    homogeneous = F.pad(points, (0, 1), value=1.0) @ matrix
    return homogeneous[..., :3] / homogeneous[..., 3:]


def _positive(quaternion: Tensor) -> Tensor:
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
