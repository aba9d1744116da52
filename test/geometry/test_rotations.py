import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry import rotations

ANGLES = (0.0, 1e-9, 1e-5, 0.9e-3, 1.1e-3, 0.5, 2.0, math.pi - 1e-3, math.pi - 1e-7)


def random_axes(count=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    return torch.nn.functional.normalize(axes, dim=-1)


@pytest.mark.parametrize('angle', ANGLES)
def test_axis_angle_to_matrix_agrees_with_scipy(angle):
    vectors = random_axes() * angle
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    result = rotations.axis_angle_to_matrix(vectors).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize('half', [torch.bfloat16, torch.float16])
def test_rotations_are_as_exact_where_a_network_runs_in_half_precision(half):
    vectors = (random_axes() * 2.5).float()
    matrices = rotations.axis_angle_to_matrix(vectors)
    with torch.autocast('cpu', half):
        halved = rotations.axis_angle_to_matrix(vectors)
        back = rotations.quaternion_to_matrix(rotations.axis_angle_to_quaternion(vectors))
    torch.testing.assert_close(halved, matrices, atol=2e-6, rtol=0)
    torch.testing.assert_close(back, matrices, atol=2e-6, rtol=0)


@pytest.mark.parametrize('angle', ANGLES)
@pytest.mark.parametrize('dtype, tolerance', [(torch.float64, 1e-9), (torch.float32, 2e-6)])
def test_axis_angle_survives_matrix_and_quaternion(angle, dtype, tolerance):
    vectors = (random_axes() * angle).to(dtype)
    matrices = rotations.axis_angle_to_matrix(vectors)
    back = rotations.axis_angle_to_matrix(rotations.matrix_to_axis_angle(matrices))
    # Matrices are compared because at pi both signs of the axis mean the same rotation.
    torch.testing.assert_close(back, matrices, atol=tolerance, rtol=0)
    quaternions = rotations.axis_angle_to_quaternion(vectors)
    torch.testing.assert_close(
        rotations.quaternion_to_matrix(quaternions), matrices, atol=tolerance, rtol=0)
    torch.testing.assert_close(
        rotations.quaternion_to_axis_angle(quaternions).norm(dim=-1),
        vectors.norm(dim=-1), atol=tolerance, rtol=0)


def test_axis_angle_comes_back_itself_below_pi():
    vectors = random_axes() * torch.linspace(0, 3.1, 200, dtype=torch.float64)[:, None]
    back = rotations.matrix_to_axis_angle(rotations.axis_angle_to_matrix(vectors))
    torch.testing.assert_close(back, vectors, atol=1e-10, rtol=0)


def test_half_turns_about_the_axes():
    half_turns = torch.stack([
        torch.diag(torch.tensor(signs, dtype=torch.float32))
        for signs in ([1., -1., -1.], [-1., 1., -1.], [-1., -1., 1.])
    ])
    vectors = rotations.matrix_to_axis_angle(half_turns)
    torch.testing.assert_close(vectors.abs(), math.pi * torch.eye(3), atol=1e-6, rtol=0)


def test_gradient_at_zero_is_finite_and_right():
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(rotations.axis_angle_to_matrix, zero)
    basis = torch.eye(3, dtype=torch.float64)
    for axis in range(3):
        torch.testing.assert_close(
            jacobian[..., axis], rotations.cross_matrix(basis[axis]))
    round_trip = torch.autograd.functional.jacobian(
        lambda v: rotations.matrix_to_axis_angle(rotations.axis_angle_to_matrix(v)), zero)
    torch.testing.assert_close(round_trip, basis)


@pytest.mark.parametrize('angle', [1e-4, 0.999e-3, 1.001e-3, 1.0, 3.0])
def test_gradients_agree_with_finite_differences(angle):
    vectors = (random_axes(4) * angle).requires_grad_()
    assert torch.autograd.gradcheck(rotations.axis_angle_to_matrix, vectors)
    assert torch.autograd.gradcheck(rotations.axis_angle_to_quaternion, vectors)


def test_sixd_are_the_first_two_columns():
    matrices = rotations.axis_angle_to_matrix(random_axes() * 2.0)
    sixd = rotations.matrix_to_sixd(matrices)
    torch.testing.assert_close(sixd[:, :3], matrices[:, :, 0])
    torch.testing.assert_close(sixd[:, 3:], matrices[:, :, 1])
    torch.testing.assert_close(rotations.sixd_to_matrix(sixd), matrices)


def test_any_six_numbers_give_a_rotation():
    sixd = 3 * torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(1))
    matrices = rotations.sixd_to_matrix(sixd)
    assert matrices.shape == (5, 7, 3, 3)
    product = matrices.transpose(-1, -2) @ matrices
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(5, 7))
    # The first column keeps its direction, the second stays in the plane of the two.
    cosine = torch.nn.functional.cosine_similarity(matrices[..., 0], sixd[..., :3], dim=-1)
    torch.testing.assert_close(cosine, torch.ones(5, 7))
    torch.testing.assert_close(
        (matrices[..., 2] * sixd[..., 3:]).sum(-1), torch.zeros(5, 7), atol=1e-5, rtol=0)


def test_quaternions_are_xyzw_with_positive_w():
    vectors = random_axes() * 2.5
    quaternions = rotations.matrix_to_quaternion(rotations.axis_angle_to_matrix(vectors))
    expected = Rotation.from_rotvec(vectors.numpy()).as_quat()
    expected *= np.sign(expected[:, 3:])
    np.testing.assert_allclose(quaternions.numpy(), expected, atol=1e-12)
    torch.testing.assert_close(
        rotations.quaternion_to_matrix(-3 * quaternions),
        rotations.axis_angle_to_matrix(vectors))


@pytest.mark.parametrize('angle', ANGLES)
def test_a_quaternion_and_its_negative_are_the_same_turn(angle):
    vectors = random_axes() * angle
    quaternions = rotations.axis_angle_to_quaternion(vectors)
    for sign in (1, -1):
        back = rotations.quaternion_to_axis_angle(sign * quaternions)
        torch.testing.assert_close(back, vectors, atol=1e-15, rtol=1e-9)


@pytest.mark.parametrize('name, numbers', [
    ('axis_angle_to_matrix', 3), ('axis_angle_to_quaternion', 3), ('sixd_to_matrix', 6),
    ('quaternion_to_matrix', 4), ('quaternion_to_axis_angle', 4)])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_any_leading_dimensions_and_dtypes_are_kept(name, numbers, dtype):
    function = getattr(rotations, name)
    many = torch.nn.functional.normalize(torch.cat([random_axes(6), random_axes(6, 1)], 1), dim=-1)
    many = many[:, :numbers].to(dtype)
    expected = torch.stack([function(one) for one in many])
    assert expected.dtype == dtype
    for shape in ((6,), (2, 3), (3, 1, 2), (0, 2)):
        result = function(many[:math.prod(shape)].reshape(*shape, numbers))
        assert result.dtype == dtype and result.shape == (*shape, *expected.shape[1:])
        flat = result.reshape(-1, *expected.shape[1:])
        assert torch.equal(flat, expected[:len(flat)])


@pytest.mark.parametrize('function, shape', [
    (rotations.axis_angle_to_matrix, (2, 4)),
    (rotations.axis_angle_to_quaternion, (4,)),
    (rotations.matrix_to_axis_angle, (3, 9)),
    (rotations.matrix_to_sixd, (3, 2)),
    (rotations.sixd_to_matrix, (2, 3)),
    (rotations.quaternion_to_matrix, (3,)),
    (rotations.quaternion_to_axis_angle, (5, 3)),
])
def test_a_wrong_shape_is_named(function, shape):
    with pytest.raises(ValueError, match=r'expected a tensor of shape \(\.\.\., .*got'):
        function(torch.zeros(shape))
