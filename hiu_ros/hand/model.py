"""A torch layer that shapes and poses a hand: batched, differentiable, any vertex count.

Axes at the rest pose of the right hand (MANO's): fingers along -x, palm towards -y, thumb +z. All
joints share them, so that for an axis-angle pose of the right hand

- a positive rotation about z bends index, middle, ring and pinky towards the palm;
- a positive rotation about y moves a finger towards the thumb: it spreads the index finger, and a
  negative one spreads ring and pinky;
- x is the twist of the four fingers;
- the thumb bends towards the palm about (0.57, -0.81, 0.12) at its second and third joint and,
  with its whole ray, swings across the palm about -y and +x at the first; +y there opens it
  sideways and -z brings it nearer to the plane of the palm.

Of the wrist's `forearm` rotation, +z raises the forearm behind the hand (the hand is flexed) and
+y turns it to the side of the pinky. The left hand is the mirror image: theta * (1, -1, -1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hiu_ros.hand.skeleton import JOINT_COUNT, JOINT_PARENTS, KEYPOINTS_FROM_JOINTS, SHAPE_COUNT
from hiu_ros.hand.template import HandTemplate, load_template

__all__ = ['HandGeometry', 'HandModel', 'HandTemplate', 'load_template']

#: Joints by their distance from the wrist; each row is posed with one matrix product.
_LEVELS = ((1, 4, 7, 10, 13), (2, 5, 8, 11, 14), (3, 6, 9, 12, 15))
#: The joint that carries the tip of thumb, index, middle, ring and pinky.
_TIP_JOINTS = (15, 3, 6, 12, 9)


class HandGeometry(NamedTuple):
    """A batch of posed hands; metres, wrist joint at the origin."""

    vertices: Tensor  #: (B, V, 3)
    keypoints: Tensor  #: (B, 21, 3) in the order of `skeleton.KEYPOINT_NAMES`
    joints: Tensor  #: (B, 16, 3) in the order of `skeleton.JOINT_NAMES`


class HandModel(nn.Module):
    """Linear blend skinning of one `HandTemplate` with linear shape (and pose) directions.

    Skinning as in SMPL (Loper et al. 2015, section 3). It has no trained parameters; its arrays
    are buffers that follow `.to()` and stay out of the state dict.
    """

    def __init__(self, template: HandTemplate) -> None:
        """Take the arrays of a template of either side."""
        super().__init__()
        self.template = template
        self.side = template.side
        self._keep('faces', template.faces, torch.int64)
        self._keep('_vertices', template.vertices.reshape(-1))
        self._keep('_shapedirs', template.shapedirs.reshape(SHAPE_COUNT, -1))
        self._keep('_weights', template.weights)
        self._keep('_points', _rows(template.joints, template.tips, axis=0).reshape(-1))
        self._keep('_point_dirs', _rows(
            template.joint_dirs, template.tip_dirs, axis=1).reshape(SHAPE_COUNT, -1))
        for field in ('posedirs', 'tip_posedirs'):
            value = getattr(template, field)
            self._keep(f'_{field}', None if value is None else value.reshape(len(value), -1))
        self._keep('_forearm', template.forearm_weight)
        self._keep('_levels', _LEVELS, torch.int64)
        self._keep('_parents', [[JOINT_PARENTS[j] for j in row] for row in _LEVELS], torch.int64)
        # Joints are computed as wrist, level 1, level 2, level 3: this brings them into order.
        order = [0, *(joint for row in _LEVELS for joint in row)]
        self._keep('_unsort', [order.index(joint) for joint in range(JOINT_COUNT)], torch.int64)
        self._keep('_tip_joints', _TIP_JOINTS, torch.int64)
        self._keep('_order', KEYPOINTS_FROM_JOINTS, torch.int64)

    def forward(
        self, rotations: Tensor, shape: Tensor, forearm: Tensor | None = None,
    ) -> HandGeometry:
        """Pose the hand.

        rotations: (B, 16, 3, 3) relative to the parent joint, row 0 turns the whole hand about
        the wrist. shape: (B, 10) in standard deviations. forearm: (B, 3, 3) turns the forearm
        about the wrist relative to the hand, in the axes of the rest pose; needs a template with
        `forearm_weight`.
        """
        turned, joints, keypoints, shift = self._chain(rotations, shape)
        rest = self._vertices + shape @ self._shapedirs
        if self._posedirs is not None:
            rest = rest + _pose_features(rotations) @ self._posedirs
        rest = rest.unflatten(1, (-1, 3))
        transforms = torch.cat((turned, shift[..., None]), dim=-1).flatten(2)
        blended = torch.matmul(self._weights, transforms).unflatten(2, (3, 4))
        vertices = (blended[..., :3] @ rest[..., None]).squeeze(-1) + blended[..., 3]
        if forearm is not None:
            if self._forearm is None:
                raise ValueError(
                    f'template {self.template.name} has no forearm to turn; '
                    "load_template('forearm') has one")
            extra = turned[:, 0] @ (forearm - torch.eye(3).to(forearm))
            vertices = vertices + self._forearm[:, None] * (rest @ extra.transpose(1, 2))
        return HandGeometry(vertices, keypoints, joints)

    def keypoints(self, rotations: Tensor, shape: Tensor) -> Tensor:
        """Give the keypoints (B, 21, 3) of `forward` without skinning the mesh."""
        return self._chain(rotations, shape)[2]

    def _chain(self, rotations: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Walk from wrist to tips: joint rotations, joints, keypoints, skinning translations."""
        _check(rotations, shape)
        points = (self._points + shape @ self._point_dirs).unflatten(1, (-1, 3))
        rest, rest_tips = points[:, :JOINT_COUNT], points[:, JOINT_COUNT:]
        parent_turn, parent_place = rotations[:, :1], rest[:, :1]
        turns, places = [parent_turn], [parent_place]
        for level, parents in zip(self._levels, self._parents):
            bone = rest[:, level] - rest[:, parents]
            parent_place = parent_place + (parent_turn @ bone[..., None]).squeeze(-1)
            parent_turn = parent_turn @ rotations[:, level]
            turns.append(parent_turn)
            places.append(parent_place)
        turned = torch.cat(turns, dim=1)[:, self._unsort]
        joints = torch.cat(places, dim=1)[:, self._unsort]
        if self._tip_posedirs is not None:
            features = _pose_features(rotations)
            rest_tips = rest_tips + (features @ self._tip_posedirs).unflatten(1, (-1, 3))
        last = self._tip_joints
        bone = rest_tips - rest[:, last]
        tips = joints[:, last] + (turned[:, last] @ bone[..., None]).squeeze(-1)
        keypoints = torch.cat((joints, tips), dim=1)[:, self._order]
        shift = joints - (turned @ rest[..., None]).squeeze(-1)
        return turned, joints, keypoints, shift

    def _keep(
        self, name: str, value: Sequence | None, dtype: torch.dtype = torch.float32,
    ) -> None:
        tensor = None if value is None else torch.as_tensor(value).to(dtype).clone()
        self.register_buffer(name, tensor, persistent=False)


def _rows(first, second, axis: int) -> Tensor:
    return torch.cat((torch.as_tensor(first), torch.as_tensor(second)), dim=axis)


def _pose_features(rotations: Tensor) -> Tensor:
    """Entries of R - I of the 15 finger joints, (B, 135): what MANO's pose correctives read."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).flatten(1)


def _check(rotations: Tensor, shape: Tensor) -> None:
    if rotations.dim() != 4 or tuple(rotations.shape[1:]) != (JOINT_COUNT, 3, 3):
        raise ValueError(
            f'rotations must be (B, {JOINT_COUNT}, 3, 3), got {tuple(rotations.shape)}')
    if tuple(shape.shape) != (len(rotations), SHAPE_COUNT):
        raise ValueError(
            f'shape must be ({len(rotations)}, {SHAPE_COUNT}), got {tuple(shape.shape)}')
