import torch

from vendor_model.layout.pose import decode_pose, encode_pose
from vendor_model.layout.transforms import (
    compose,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_to_matrix,
    transform_points,
)


def random_quaternions(count: int) -> torch.Tensor:
    quaternion = torch.nn.functional.normalize(torch.randn(count, 4), dim=-1)
    return torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)


def test_encoding_is_the_inverse_of_decoding():
    torch.manual_seed(0)
    rotation, translation = random_quaternions(20), torch.randn(20, 3)
    scale = torch.rand(20, 1).expand(-1, 3) + 0.1
    pointmap_scale, pointmap_shift = torch.rand(20, 1).expand(-1, 3) + 0.5, torch.randn(20, 3)
    latents = encode_pose(rotation, translation, scale, pointmap_scale, pointmap_shift)
    decoded = decode_pose(latents, pointmap_scale, pointmap_shift)
    for actual, expected in zip(decoded, (rotation, translation, scale), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_halved_voxels_double_the_scale():
    one, zero = torch.ones(1, 3), torch.zeros(1, 3)
    latents = encode_pose(torch.tensor([[1.0, 0, 0, 0]]), zero, one, one, zero)
    assert decode_pose(latents, one, zero, downsample_factor=2)[2].tolist() == [[2, 2, 2]]


def test_points_turn_by_the_inverse_of_the_quaternion():
    quarter_turn_about_z = torch.tensor([0.5, 0, 0, 0.5]).sqrt()
    matrix = compose(quaternion_to_matrix(quarter_turn_about_z), torch.zeros(3), torch.ones(3))
    turned = transform_points(torch.tensor([[1.0, 0.0, 0.0]]), matrix)
    torch.testing.assert_close(turned, torch.tensor([[0.0, -1.0, 0.0]]))


def test_product_with_the_conjugate_is_no_rotation():
    torch.manual_seed(1)
    quaternion = random_quaternions(5)
    product = quaternion_multiply(quaternion, quaternion_conjugate(quaternion))
    torch.testing.assert_close(product, torch.tensor([1.0, 0, 0, 0]).expand(5, 4))
