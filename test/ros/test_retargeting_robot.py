"""dex-retargeting moves a robot hand by our message; needs that package and its robot files.

HIU_DEX_URDF names the folder of robot hands of the dex-urdf project (the one that holds
allegro_hand/). Neither comes with this project.
"""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import JOINT_NAMES
from hiu_ros.hand.template import load_template
from hiu_ros.ros.retargeting import operator_points_of

pytest.importorskip('dex_retargeting')
if not os.environ.get('HIU_DEX_URDF'):
    pytest.skip('HIU_DEX_URDF does not name a folder of robot hands', allow_module_level=True)

from dex_retargeting.constants import (  # noqa: E402
    HandType,
    RetargetingType,
    RobotName,
    get_default_config_path,
)
from dex_retargeting.retargeting_config import RetargetingConfig  # noqa: E402


def message(side, bend):
    """HandKeypoints of a hand somewhere in front of a camera whose fingers are bent by `bend`."""
    pose = np.zeros((16, 3), np.float32)
    for joint, name in enumerate(JOINT_NAMES):
        if name.startswith(('index', 'middle', 'ring', 'pinky')):
            pose[joint, 2] = bend
    rotations = axis_angle_to_matrix(torch.from_numpy(pose))[None]
    points = HandModel(load_template('fast')).keypoints(rotations, torch.zeros(1, 10))[0].numpy()
    if side == 'left':
        points = points * (-1, 1, 1)
    points = Rotation.from_rotvec((0.5, -0.8, 1.1)).apply(points) + (0.1, 0.0, 0.6)
    return SimpleNamespace(LEFT=1, RIGHT=2, side={'left': 1, 'right': 2}[side],
                           points=points.astype(np.float32).ravel())


@pytest.mark.parametrize('side', ['right', 'left'])
def test_an_allegro_hand_closes_as_the_hand_does(side):
    RetargetingConfig.set_default_urdf_dir(os.environ['HIU_DEX_URDF'])
    path = get_default_config_path(RobotName.allegro, RetargetingType.vector, HandType[side])
    robot = RetargetingConfig.load_from_file(path, override={'low_pass_alpha': 1.0}).build()
    starts, ends = robot.optimizer.target_link_human_indices
    flexion = [k for k, name in enumerate(robot.joint_names)
               if name in ('joint_1.0', 'joint_2.0', 'joint_3.0', 'joint_5.0', 'joint_6.0',
                           'joint_7.0', 'joint_9.0', 'joint_10.0', 'joint_11.0')]
    assert len(flexion) == 9
    closed = []
    for bend in (0.0, 0.6, 1.2):
        points = operator_points_of(message(side, bend))
        for _ in range(10):
            joints = robot.retarget(points[ends] - points[starts])
        closed.append(float(joints[flexion].sum()))
    # The open hand opens the robot's three long fingers, the fist closes them.
    assert closed[0] < 2.0 and closed[2] > 6.0 and closed[0] < closed[1] < closed[2], closed
