"""The table of parameters: it is the yaml, it checks, and a change is all or nothing."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip('rclpy')

from rclpy.context import Context  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from hiu_ros.ros.parameters import (  # noqa: E402
    PARAMETERS,
    TABLE,
    NodeOptions,
    ParameterError,
    changed,
    contradiction,
    declare,
    misspelt,
    readme_table,
    yaml_text,
)

ROOT = Path(__file__).resolve().parents[2]


def test_the_yaml_file_is_the_table():
    text = (ROOT / 'config' / 'hiu.yaml').read_text()
    assert text == yaml_text(), 'python -m hiu_ros.ros.parameters > config/hiu.yaml'
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert list(values) == list(TABLE)
    for name, value in values.items():
        expected = TABLE[name].default
        assert value == (expected if expected != () else ['']), name
        assert type(value) is (list if isinstance(expected, tuple) else type(expected)), name


def test_the_readme_shows_the_table():
    text = (ROOT / 'README.md').read_text()
    assert readme_table() in text, 'python -m hiu_ros.ros.parameters readme'


@pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)
def test_every_row_is_described_and_its_default_is_legal(row):
    assert row.description.endswith('.') and len(row.description) > 20
    assert not row.fault(row.default)
    descriptor = row.descriptor()
    assert descriptor.read_only is not row.live and descriptor.description == row.description
    if row.minimum is not None:
        assert row.fault(type(row.default)(row.maximum + 1))
        ranges = list(descriptor.integer_range) + list(descriptor.floating_point_range)
        assert (ranges[0].from_value, ranges[0].to_value) == (row.minimum, row.maximum)
    if row.choices:
        assert row.name in row.fault('nonsense') and row.choices[0] in row.fault('nonsense')


def test_defaults_are_the_options_and_do_not_contradict():
    options = NodeOptions()
    assert [field.name for field in fields(options)] == list(TABLE)
    assert not contradiction(options)


@pytest.mark.parametrize('given, cameras', [({}, ()), ({'cameras': ['a', 'b']}, ('a', 'b'))])
def test_all_can_be_read_at_once_as_ros2_param_dump_does(domain, given, cameras):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('table', context=context, parameter_overrides=[
        Parameter(name, value=value) for name, value in given.items()])
    try:
        assert declare(node) == NodeOptions(cameras=cameras)
        read = {one.name: one.value for one in node.get_parameters(list(TABLE))}
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    assert list(read) == list(TABLE) and read['cameras'] == (list(cameras) or [''])


@pytest.mark.parametrize('name, value, words', [
    ('warn_age', 5, "'INTEGER'.*'DOUBLE'.*with a decimal point, as 5.0"),
    ('cameras', 'left,right', "'STRING_ARRAY'.*a list, as .\\['left','right'\\]"),
    ('tf', 'maybe', "'BOOL': tf$"), ('warn_age', -5.0, 'value: -5.0: warn_age$')])
def test_a_value_of_another_type_is_refused_with_how_it_is_written(domain, name, value, words):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('table', context=context,
                             parameter_overrides=[Parameter(name, value=value)])
    try:
        with pytest.raises(ParameterError, match=f'parameter {name}: .*{words}'):
            declare(node)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def change(options, **values):
    return changed(options, [Parameter(name, value=value) for name, value in values.items()])


def test_live_values_are_taken_over_together():
    options, result = change(NodeOptions(), max_hands=1, min_score=0.7)
    assert result.successful and (options.max_hands, options.min_score) == (1, 0.7)


@pytest.mark.parametrize('name, value, words', [
    ('max_hands', 9, ['max_hands', '9', '1 to 8']),
    ('min_score', 1.5, ['min_score', '1.5', '0 to 1']),
    ('min_score', float('nan'), ['min_score', 'nan']),
    ('min_score', 1, ['min_score', 'INTEGER', 'DOUBLE']),
    ('regions', 'nowhere', ['regions', "'nowhere'", "'finder'"]),
    ('weights', '/x', ['weights', 'restart']),
    ('cameras', ['a'], ['cameras', 'restart']),
    ('warn_age', 3.0, ['warn_age', 'error_age']),
    ('error_silence', 1.0, ['warn_silence', 'error_silence']),
])
def test_an_illegal_value_changes_nothing_and_says_why(name, value, words):
    before = NodeOptions()
    after, result = change(before, lazy=False, **{name: value})
    assert not result.successful and after == before
    for word in words:
        assert word in result.reason


def test_parameters_of_others_pass():
    options, result = change(NodeOptions(), use_sim_time=True, max_hands=1)
    assert result.successful and options == NodeOptions(max_hands=1)


@pytest.mark.parametrize('name, meant', [
    ('presicion', 'precision'), ('max-hands', 'max_hands'), ('view', 'views'),
    ('devise', 'device'), ('maxhand', 'max_hands'), ('use_simtime', 'use_sim_time'),
])
def test_a_misspelt_name_is_told_with_the_one_meant_unless_that_was_given_too(name, meant):
    (words,) = misspelt(['lazy', name])
    assert words.startswith(f'{name} is no parameter') and f'is {meant} meant' in words
    assert not misspelt([name, meant])


def test_names_of_other_nodes_and_of_ros_are_not_told():
    """As in a file for all nodes: of usb_cam, camera_ros, rviz, robot_state_publisher."""
    assert not misspelt([
        'use_sim_time', 'start_type_description_service', 'max_hands', 'video_device', 'device_id',
        'qos_overrides./hands.publisher.depth', 'frame_id', 'framerate', 'image_width', 'rate',
        'pixel_format', 'camera_name', 'camera_info_url', 'robot_description', 'publish_frequency',
        'jpeg_quality', 'io_method', 'autofocus', 'brightness', 'depth_fps', 'tf_prefix',
        'num_threads', 'image_rate', 'min_range', 'max_range', 'frame_rate', 'timeout',
        'threshold', 'weights_path'])


@pytest.mark.parametrize('names', [('a', 'a'), ('a/b',), ('/a',), ('1a',), ('é',)])
def test_camera_names_must_be_different_names(names):
    assert 'cameras' in contradiction(NodeOptions(cameras=names))


def test_a_length_that_no_hand_has_is_refused_before_there_is_an_engine_to_refuse_it():
    options, result = change(NodeOptions(), hand_length_m=0.05)
    assert not result.successful and options == NodeOptions()
    assert result.reason == 'hand_length_m 0.05: expected 0 or 0.08 to 0.3'
    for length in (0.0, 0.08, 0.3):
        assert change(NodeOptions(), hand_length_m=length)[1].successful
