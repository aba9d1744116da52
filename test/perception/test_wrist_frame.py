import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.rasteriser import interpolate, rasterise
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.perception.wrist_frame import wrist_rotation


def posed(side, turn, bend=0.0):
    template = load_template('fast')
    model = HandModel(template if side == 'right' else template.mirrored())
    pose = np.zeros((16, 3))
    pose[1:13, 2] = bend if side == 'right' else -bend
    rotations = Rotation.from_rotvec(pose).as_matrix()
    rotations[0] = turn
    return model(torch.tensor(rotations[None], dtype=torch.float32), torch.zeros(1, 10))


@pytest.mark.parametrize('side, forward', [('right', -1.0), ('left', 1.0)])
def test_axes_of_the_rest_pose(side, forward):
    """Rest: fingers along -x (right) or +x (left), palm towards -y, thumb towards +z."""
    frame = wrist_rotation(posed(side, np.eye(3)).keypoints[0].numpy(), side)
    assert frame[:, 0] @ [forward, 0, 0] > 0.98
    assert frame[:, 2] @ [0, 1, 0] > 0.9
    thumb = frame[:, 1] @ [0, 0, 1]
    assert thumb > 0.9 if side == 'right' else thumb < -0.9


@pytest.mark.parametrize('side', ['left', 'right'])
def test_frame_is_right_handed_and_turns_with_the_hand(side):
    turn = Rotation.random(random_state=3).as_matrix()
    rest = wrist_rotation(posed(side, np.eye(3)).keypoints[0].numpy(), side)
    frame = wrist_rotation(posed(side, turn, bend=0.4).keypoints[0].numpy(), side)
    assert np.linalg.det(frame) == pytest.approx(1.0)
    assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-9)
    assert np.allclose(frame, turn @ rest, atol=1e-5)
    moved = posed(side, turn, bend=0.4).keypoints[0].numpy() + [0.3, -0.2, 0.7]
    assert np.allclose(wrist_rotation(np.stack([moved, moved]), side), frame, atol=1e-5)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_fingers_bend_away_from_the_back_of_the_hand(side):
    turn = Rotation.random(random_state=8).as_matrix()
    flat, bent = (posed(side, turn, bend).keypoints[0].numpy() for bend in (0.0, 0.5))
    back = wrist_rotation(flat, side)[:, 2]
    assert (((bent - flat)[[8, 12, 16, 20]] @ back) < -0.03).all()


def test_both_hands_are_mirror_images():
    mirror = np.diag([-1.0, 1, 1])
    right = posed('right', Rotation.random(random_state=5).as_matrix()).keypoints[0].numpy()
    a = wrist_rotation(right, 'right')
    b = wrist_rotation(right @ mirror, 'left')
    assert np.allclose(b[:, 0], mirror @ a[:, 0]) and np.allclose(b[:, 2], mirror @ a[:, 2])
    assert np.allclose(b[:, 1], -(mirror @ a[:, 1]))


@pytest.mark.parametrize('direction', [(0.01, 0, 0), (0.01, 0.003, 0.0077), (0, 0, 0)])
@pytest.mark.parametrize('side', ['left', 'right'])
def test_joints_on_one_line_have_no_frame(side, direction):
    line = (np.outer(np.arange(21), direction) + [0.1, 0.2, 0.6]).astype(np.float32)
    hand = posed(side, np.eye(3)).keypoints[0].numpy()
    both = wrist_rotation(np.stack([line, hand]), side)
    assert np.isnan(both[0]).all()
    assert np.array_equal(both[1], wrist_rotation(hand, side)) and np.isfinite(both[1]).all()


def test_a_hand_of_any_size_has_the_same_frame():
    hand = posed('right', np.eye(3)).keypoints[0].numpy()
    assert np.allclose(wrist_rotation(1e-3 * hand, 'right'), wrist_rotation(hand, 'right'))


def test_unknown_sides_are_refused():
    with pytest.raises(ValueError, match='Right'):
        wrist_rotation(np.zeros((21, 3)), 'Right')


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_camera_that_z_points_to_sees_the_back_of_the_hand(side):
    """Rendered: of the pixels of the hand, those of palm vertices are few, or from behind most."""
    template = load_template('render')
    model = HandModel(template if side == 'right' else template.mirrored())
    rest = wrist_rotation(posed(side, np.eye(3)).keypoints[0].numpy(), side)
    palm = []
    for z in (-1.0, 1.0):  # towards the camera, away from it
        seen = np.array([[0.0, 1.0, 0.0], [-z, 0.0, 0.0], [0.0, 0.0, z]]).T
        turn = seen @ rest.T
        assert np.linalg.det(turn) == pytest.approx(1.0)
        rotations = torch.eye(3).repeat(1, 16, 1, 1)
        rotations[0, 0] = torch.tensor(turn, dtype=torch.float32)
        vertices = model(rotations, torch.zeros(1, 10)).vertices + torch.tensor([0, 0, 0.6])
        picture = torch.cat([vertices[..., :2] / vertices[..., 2:] * 300 + 64,
                             vertices[..., 2:]], dim=-1)
        raster = rasterise(picture, model.faces, 128, 128)
        attribute = torch.tensor(template.palm, dtype=torch.float32)[:, None]
        shown = interpolate(raster, model.faces, attribute)
        palm.append(float(shown[raster.covered].mean()))
    assert palm[0] < 0.25 and palm[1] > 0.75
