"""The constants in msg/ say what the Python tables say."""

import re
from pathlib import Path

import pytest

from hiu_ros.hand import skeleton
from hiu_ros.perception.result import ScaleSource

MESSAGES = Path(__file__).resolve().parents[2] / 'msg'
SIDES = {'UNKNOWN': 0, 'LEFT': 1, 'RIGHT': 2}


def constants(message: str) -> dict[str, int]:
    text = (MESSAGES / f'{message}.msg').read_text()
    return {name: int(value) for name, value in re.findall(r'^uint8 (\w+) = (\d+)', text, re.M)}


def array_length(message: str, field: str) -> int:
    text = (MESSAGES / f'{message}.msg').read_text()
    return int(re.search(rf'^\w+\[(\d+)\] {field}$', text, re.M)[1])


def test_every_keypoint_has_its_index_as_constant():
    keypoints = {name.upper(): index for index, name in enumerate(skeleton.KEYPOINT_NAMES)}
    found = constants('HandKeypoints')
    assert {name: found.get(name) for name in keypoints} == keypoints
    assert found['KEYPOINT_COUNT'] == skeleton.KEYPOINT_COUNT


def test_hand_keypoints_has_no_constant_beyond_the_known_ones():
    scales = {source.name for source in ScaleSource}
    keypoints = {name.upper() for name in skeleton.KEYPOINT_NAMES}
    assert set(constants('HandKeypoints')) == (
        keypoints | set(SIDES) | scales | {'KEYPOINT_COUNT'}
    )


@pytest.mark.parametrize('message', ['HandKeypoints', 'HandMask', 'HandMesh'])
def test_sides_have_the_same_values_in_every_message(message):
    found = constants(message)
    assert {name: found.get(name) for name in SIDES} == SIDES


@pytest.mark.parametrize('message', ['HandKeypoints', 'HandMesh'])
def test_scale_sources_have_the_values_of_the_enumeration(message):
    found = constants(message)
    scales = {source.name: source.value for source in ScaleSource}
    assert {name: found.get(name) for name in scales} == scales


@pytest.mark.parametrize('message, field, length', [
    ('HandKeypoints', 'image_points', 2 * skeleton.KEYPOINT_COUNT),
    ('HandKeypoints', 'points', 3 * skeleton.KEYPOINT_COUNT),
    ('HandKeypoints', 'confidence', skeleton.KEYPOINT_COUNT),
    ('HandKeypoints', 'valid', skeleton.KEYPOINT_COUNT),
    ('HandMesh', 'pose', skeleton.POSE_COUNT),
    ('HandMesh', 'shape', skeleton.SHAPE_COUNT),
    ('HandTopology', 'joint_names', skeleton.JOINT_COUNT),
    ('HandTopology', 'joint_parents', skeleton.JOINT_COUNT),
    ('HandTopology', 'keypoint_names', skeleton.KEYPOINT_COUNT),
    ('HandTopology', 'bones', 2 * len(skeleton.BONES)),
])
def test_arrays_are_as_long_as_the_skeleton_says(message, field, length):
    assert array_length(message, field) == length


def test_generated_classes_carry_the_constants_of_the_files():
    messages = pytest.importorskip('hiu_ros.msg')
    for message in ('HandKeypoints', 'HandMask', 'HandMesh'):
        generated = getattr(messages, message)
        for name, value in constants(message).items():
            assert getattr(generated, name) == value


@pytest.mark.parametrize('path', sorted(MESSAGES.glob('*.msg')), ids=lambda path: path.stem)
def test_every_field_is_commented(path):
    """A field has a comment directly above it, or above the block of fields it belongs to."""
    blocks = path.read_text().strip().split('\n\n')
    for block in blocks:
        first, *rest = block.splitlines()
        assert first.startswith('#'), f'{path.name}: no comment above {first!r}'
        assert rest or block == blocks[0], f'{path.name}: {first!r} describes nothing'
