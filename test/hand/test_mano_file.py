"""MANO files are imitated: random numbers in the layout of the real ones."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.mano_file import (
    TIP_VERTICES,
    VERTEX_COUNT,
    ManoFileError,
    load_joint_regressor,
    load_mano,
)
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import JOINT_PARENTS, TIP_KEYPOINTS


@pytest.fixture
def chumpy(monkeypatch):
    """Modules that pickle like chumpy: `Ch` with x, `Select` with a, idxs, preferred_shape."""
    modules = {}
    for module, name in (('chumpy.ch', 'Ch'), ('chumpy.reordering', 'Select')):
        def set_all(self, **values):
            self.__dict__.update(values)
        kind = type(name, (), {'__module__': module, '__init__': set_all})
        modules[module] = types.ModuleType(module)
        setattr(modules[module], name, kind)
    monkeypatch.setitem(sys.modules, 'chumpy', types.ModuleType('chumpy'))
    for module, value in modules.items():
        monkeypatch.setitem(sys.modules, module, value)
    return types.SimpleNamespace(
        Ch=modules['chumpy.ch'].Ch, Select=modules['chumpy.reordering'].Select)


@pytest.fixture
def numbers():
    random = np.random.default_rng(7)
    regressor = random.random((16, VERTEX_COUNT)) * (random.random((16, VERTEX_COUNT)) < 0.02)
    regressor[:, ::50] += 1e-3
    regressor[0] = np.arange(VERTEX_COUNT) < 20  # the wrist is where x is largest
    regressor /= regressor.sum(1, keepdims=True)
    weights = random.random((VERTEX_COUNT, 16))
    parents = np.array(JOINT_PARENTS, dtype=np.int64)
    parents[0] = 2 ** 32 - 1  # as in the real file
    return {
        'v_template': np.column_stack((
            np.linspace(0.09, -0.1, VERTEX_COUNT), random.normal(size=(VERTEX_COUNT, 2)) * 0.03)),
        'f': random.integers(0, VERTEX_COUNT, (1538, 3)).astype(np.uint32),
        'weights': weights / weights.sum(1, keepdims=True),
        'J_regressor': regressor,
        'shapedirs': random.normal(size=(VERTEX_COUNT, 3, 10)) * 0.003,
        'posedirs': random.normal(size=(VERTEX_COUNT, 3, 135)) * 0.001,
        'kintree_table': np.stack([parents, np.arange(16)]),
        'hands_mean': random.normal(size=45),
    }


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def as_mano(numbers, chumpy):
    content = dict(numbers, bs_style='lbs', bs_type='lrotmin')
    content['J_regressor'] = scipy.sparse.csc_matrix(numbers['J_regressor'])
    content['posedirs'] = chumpy.Ch(x=numbers['posedirs'])
    longer = np.concatenate((np.zeros(5), numbers['shapedirs'].ravel()))
    content['shapedirs'] = chumpy.Select(
        a=chumpy.Ch(x=longer), idxs=np.arange(5, len(longer)),
        preferred_shape=numbers['shapedirs'].shape)
    return content


@pytest.fixture
def mano_path(tmp_path, numbers, chumpy):
    return write(tmp_path / 'MANO_RIGHT.pkl', as_mano(numbers, chumpy))


def test_arrays_arrive_with_the_wrist_at_the_origin(mano_path, numbers):
    template = load_mano(mano_path)
    wrist = numbers['J_regressor'][0] @ numbers['v_template']
    assert template.side == 'right'
    assert template.name == 'MANO_RIGHT'
    np.testing.assert_allclose(template.vertices, numbers['v_template'] - wrist, atol=1e-6)
    np.testing.assert_array_equal(template.faces, numbers['f'])
    np.testing.assert_allclose(template.weights, numbers['weights'], atol=1e-6)
    np.testing.assert_allclose(template.joints[0], 0, atol=1e-9)
    np.testing.assert_allclose(template.tips, template.vertices[list(TIP_VERTICES)])
    np.testing.assert_allclose(template.pose_mean, numbers['hands_mean'], atol=1e-6)


def test_the_joint_regressor_gives_the_joints_of_the_vertices(mano_path, numbers):
    regressor = load_joint_regressor(mano_path)
    template = load_mano(mano_path)
    assert regressor.shape == (16, 778)
    assert np.allclose(regressor @ template.vertices, template.joints, atol=1e-5)


@pytest.mark.parametrize('protocol', [2, 4])
def test_skinning_agrees_with_the_equations_of_mano(tmp_path, numbers, chumpy, protocol):
    template = load_mano(write(tmp_path / 'a.pkl', as_mano(numbers, chumpy), protocol))
    model = HandModel(template).double()
    random = np.random.default_rng(1)
    shape, pose = random.normal(size=10), random.normal(size=(16, 3)) * 0.4
    rotations = axis_angle_to_matrix(torch.as_tensor(pose))
    result = model(rotations[None], torch.as_tensor(shape)[None])

    # One hand, written as in Romero et al. 2017: shape, joints, pose correctives, chain, blend.
    shaped = numbers['v_template'] + numbers['shapedirs'] @ shape
    joints = numbers['J_regressor'] @ shaped
    turn = rotations.numpy()
    posed = shaped + numbers['posedirs'] @ (turn[1:] - np.eye(3)).ravel()
    world = [None] * 16
    for joint, parent in enumerate(JOINT_PARENTS):
        local = np.eye(4)
        local[:3, :3] = turn[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
        world[joint] = local if joint == 0 else world[parent] @ local
    vertices = np.zeros((VERTEX_COUNT, 3))
    for joint in range(16):
        rotation = world[joint][:3, :3]
        moved = (posed - joints[joint]) @ rotation.T + world[joint][:3, 3]
        vertices += numbers['weights'][:, joint, None] * moved
    np.testing.assert_allclose(result.vertices[0].numpy(), vertices - joints[0], atol=1e-6)
    places = np.array([matrix[:3, 3] for matrix in world]) - joints[0]
    np.testing.assert_allclose(result.joints[0].numpy(), places, atol=1e-6)


def test_a_tip_that_its_last_joint_alone_carries_is_its_vertex_in_every_pose(
        tmp_path, numbers, chumpy):
    numbers['weights'][list(TIP_VERTICES)] = np.eye(16)[[15, 3, 6, 12, 9]]
    model = HandModel(load_mano(write(tmp_path / 'a.pkl', as_mano(numbers, chumpy)))).double()
    random = np.random.default_rng(1)
    rotations = axis_angle_to_matrix(torch.as_tensor(random.normal(size=(3, 16, 3)) * 0.4))
    hands = model(rotations, torch.as_tensor(random.normal(size=(3, 10))))
    tips = hands.keypoints[:, list(TIP_KEYPOINTS)]
    np.testing.assert_allclose(tips, hands.vertices[:, list(TIP_VERTICES)], atol=1e-6)


def test_arrays_of_the_other_byte_order_hold_the_same_numbers(tmp_path, mano_path, numbers):
    turned = {name: value.astype(value.dtype.newbyteorder('>')) for name, value in numbers.items()}
    usual, other = load_mano(mano_path), load_mano(write(tmp_path / 'MANO_RIGHT.pkl', turned))
    for name in ('vertices', 'faces', 'weights', 'shapedirs', 'posedirs', 'pose_mean'):
        np.testing.assert_array_equal(getattr(usual, name), getattr(other, name))


@pytest.mark.parametrize('as_published', [True, False])
def test_a_left_file_is_the_mirror_image_of_the_right_one_in_every_shape(
        tmp_path, numbers, chumpy, as_published):
    # The first direction of MANO is size; the published left file has the right one's directions.
    numbers['shapedirs'][..., 0] = 0.05 * numbers['v_template']
    right = load_mano(write(tmp_path / 'r.pkl', as_mano(numbers, chumpy)))
    flip = np.array([-1.0, 1, 1])
    numbers['v_template'] = numbers['v_template'] * flip
    if not as_published:
        numbers['shapedirs'] = numbers['shapedirs'] * flip[:, None]
    left = load_mano(write(tmp_path / 'l.pkl', as_mano(numbers, chumpy)))
    for part in ('vertices', 'shapedirs', 'joint_dirs', 'tip_dirs'):
        np.testing.assert_allclose(getattr(left, part), getattr(right, part) * flip, atol=1e-6)


def test_a_left_file_is_known_by_its_fingers(tmp_path, numbers, chumpy):
    numbers['v_template'] = numbers['v_template'] * [-1, 1, 1]
    assert load_mano(write(tmp_path / 'm.pkl', as_mano(numbers, chumpy))).side == 'left'


def test_mirrored_pose_correctives_follow_the_mirrored_pose(mano_path):
    template = load_mano(mano_path)
    generator = torch.Generator().manual_seed(3)
    pose = 0.5 * torch.randn(3, 16, 3, generator=generator)
    shape = torch.randn(3, 10, generator=generator)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    here = HandModel(template)(axis_angle_to_matrix(pose), shape)
    there = HandModel(template.mirrored())(axis_angle_to_matrix(pose * -flip), shape)
    torch.testing.assert_close(there.vertices, here.vertices * flip, atol=1e-6, rtol=0)
    torch.testing.assert_close(there.keypoints, here.keypoints * flip, atol=1e-6, rtol=0)


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('name, call', [
    ('posix.system|nt.system', lambda target: (os.system, f'touch {target}')),
    ('eval', lambda target: (eval, f'open({str(target)!r}, "w")')),
    ('getattr', lambda target: (getattr, target, 'touch')),
    ('numpy', lambda target: (np.savetxt, str(target), [1.0])),
])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(
        tmp_path, numbers, chumpy, name, call):
    target = tmp_path / 'made'
    content = dict(as_mano(numbers, chumpy), hands_coeffs=Attack(*call(target)))
    with pytest.raises(ManoFileError, match=f"refused '.*({name})"):
        load_mano(write(tmp_path / 'bad.pkl', content))
    assert list(tmp_path.iterdir()) == [tmp_path / 'bad.pkl']


def test_arrays_of_objects_are_refused(tmp_path, numbers):
    numbers['v_template'] = numbers['v_template'].astype(object)
    with pytest.raises(ManoFileError, match="'v_template': .*refused, only plain numbers"):
        load_mano(write(tmp_path / 'm.pkl', numbers))


def test_damage_is_named(tmp_path, mano_path, numbers):
    whole = mano_path.read_bytes()
    (tmp_path / 'cut.pkl').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ManoFileError, match='cut.pkl: not a readable MANO pickle'):
        load_mano(tmp_path / 'cut.pkl')
    (tmp_path / 'text.pkl').write_text('no pickle at all')
    with pytest.raises(ManoFileError, match='text.pkl'):
        load_mano(tmp_path / 'text.pkl')
    with pytest.raises(ManoFileError, match='a list, not a dictionary'):
        load_mano(write(tmp_path / 'list.pkl', [1, 2]))
    with pytest.raises(FileNotFoundError, match='missing.pkl'):
        load_mano(tmp_path / 'missing.pkl')


@pytest.mark.parametrize('change, message', [
    ({'weights': None}, "'weights': expected numbers, found NoneType"),
    ({'v_template': np.zeros((700, 3))}, r"'v_template' has shape \(700, 3\)"),
    ({'f': np.array([[0, 1, 900]])}, 'vertices outside'),
    ({'f': np.array([[0, 1, VERTEX_COUNT]])}, 'vertices outside'),
    ({'v_template': np.full((VERTEX_COUNT, 3), np.nan)}, 'not finite'),
    ({'weights': np.full((VERTEX_COUNT, 16), 1e39)}, "'weights' .* not finite"),
    ({'posedirs': np.full((VERTEX_COUNT, 3, 135), -np.inf)}, "'posedirs' .* not finite"),
    ({'kintree_table': np.zeros((2, 16))}, "not MANO's tree"),
])
def test_what_does_not_fit_is_named(tmp_path, numbers, change, message):
    with pytest.raises(ManoFileError, match=message):
        load_mano(write(tmp_path / 'm.pkl', {**numbers, **change}))


def test_a_missing_key_is_named(tmp_path, numbers):
    del numbers['J_regressor']
    with pytest.raises(ManoFileError, match="lacks 'J_regressor'; it holds v_template"):
        load_mano(write(tmp_path / 'm.pkl', numbers))
