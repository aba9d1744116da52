"""Rotations: axis-angle vectors, matrices, 6 numbers and quaternions; batched, differentiable.

Every function takes any leading dimensions and keeps device and dtype. Matrices are right-handed
and act on column vectors; angles are radians; quaternions are (x, y, z, w), as in ROS.
"""

import torch
from torch import Tensor

#: Below this squared angle (or sine) the closed forms give way to their series.
_SMALL = 1e-6


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Turn axis-angle vectors (..., 3) into rotation matrices (..., 3, 3).

    Rodrigues' formula on the unnormalised vector, R = I + a K + b K^2 with a = sin t / t and
    b = (1 - cos t) / t^2, so that the zero rotation has exact values and finite gradients.
    """
    _check(axis_angle, (3,))
    squared = (axis_angle * axis_angle).sum(-1)
    small = squared < _SMALL
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    half = torch.sin(angle / 2) / angle
    a = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)[..., None, None]
    b = torch.where(small, 0.5 - squared / 24, 2 * half * half)[..., None, None]
    cross = cross_matrix(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a * cross + b * _cross_twice(axis_angle)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Turn rotation matrices (..., 3, 3) into axis-angle vectors (..., 3) of length 0 to pi.

    Goes through the quaternion, which stays well conditioned at 0 and at pi. At exactly pi the
    sign of the axis is arbitrary.
    """
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def sixd_to_matrix(sixd: Tensor) -> Tensor:
    """Turn 6 numbers (..., 6) into rotation matrices (..., 3, 3).

    The numbers are the first and then the second column, made orthonormal by Gram-Schmidt; the
    third column is their cross product (Zhou et al., CVPR 2019, section 4.2).
    """
    _check(sixd, (6,))
    first = torch.nn.functional.normalize(sixd[..., :3], dim=-1)
    second = sixd[..., 3:]
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.linalg.cross(first, second, dim=-1)
    return torch.stack((first, second, third), dim=-1)


def matrix_to_sixd(matrix: Tensor) -> Tensor:
    """Give the first two columns (..., 6) of rotation matrices (..., 3, 3)."""
    _check(matrix, (3, 3))
    return torch.cat((matrix[..., 0], matrix[..., 1]), dim=-1)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Turn rotation matrices (..., 3, 3) into unit quaternions (..., 4) with w >= 0.

    For a rotation q the entries of the matrix give 4 q q^T without a root; its row with the
    largest diagonal element is normalised, which is stable for every angle (Shepperd 1978).
    """
    _check(matrix, (3, 3))
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (
        row.unbind(-1) for row in matrix.unbind(-2)
    )
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    xw, yw, zw = m21 - m12, m02 - m20, m10 - m01
    outer = torch.stack((
        1 + m00 - m11 - m22, xy, xz, xw,
        xy, 1 - m00 + m11 - m22, yz, yw,
        xz, yz, 1 - m00 - m11 + m22, zw,
        xw, yw, zw, 1 + m00 + m11 + m22,
    ), dim=-1).unflatten(-1, (4, 4))
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = outer.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    quaternion = torch.nn.functional.normalize(row, dim=-1)
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Turn quaternions (..., 4), of any length but zero, into rotation matrices (..., 3, 3)."""
    _check(quaternion, (4,))
    unit = torch.nn.functional.normalize(quaternion, dim=-1)
    cross = cross_matrix(unit[..., :3])
    identity = torch.eye(3, dtype=unit.dtype, device=unit.device)
    return identity + 2 * (unit[..., 3, None, None] * cross + _cross_twice(unit[..., :3]))


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """Turn unit quaternions (..., 4) into axis-angle vectors (..., 3) of length 0 to pi."""
    _check(quaternion, (4,))
    quaternion = torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
    vector, w = quaternion[..., :3], quaternion[..., 3]
    squared = (vector * vector).sum(-1)
    small = squared < _SMALL
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    safe_w = torch.where(small, w, torch.ones_like(w))
    factor = torch.where(
        small,
        2 / safe_w * (1 - squared / (3 * safe_w * safe_w)),
        2 * torch.atan2(sine, w) / sine,
    )
    return vector * factor[..., None]


def axis_angle_to_quaternion(axis_angle: Tensor) -> Tensor:
    """Turn axis-angle vectors (..., 3) into unit quaternions (..., 4)."""
    _check(axis_angle, (3,))
    squared = (axis_angle * axis_angle).sum(-1, keepdim=True)
    small = squared < _SMALL
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    factor = torch.where(small, 0.5 - squared / 48, torch.sin(angle / 2) / angle)
    w = torch.where(small, 1 - squared / 8, torch.cos(angle / 2))
    return torch.cat((axis_angle * factor, w), dim=-1)


def cross_matrix(vector: Tensor) -> Tensor:
    """Give the matrices K (..., 3, 3) with K u = vector x u for vectors (..., 3)."""
    _check(vector, (3,))
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def _cross_twice(vector: Tensor) -> Tensor:
    """Give K K (..., 3, 3) of `cross_matrix`; autocast would take a matrix product in half."""
    x, y, z = vector.unbind(-1)
    xx, yy, zz, xy, xz, yz = x * x, y * y, z * z, x * y, x * z, y * z
    return torch.stack((-yy - zz, xy, xz, xy, -xx - zz, yz, xz, yz, -xx - yy), dim=-1).unflatten(
        -1, (3, 3))


def _check(value: Tensor, tail: tuple[int, ...]) -> None:
    if tuple(value.shape[-len(tail):]) != tail:
        expected = ', '.join(str(n) for n in tail)
        raise ValueError(
            f'expected a tensor of shape (..., {expected}), got {tuple(value.shape)}')
