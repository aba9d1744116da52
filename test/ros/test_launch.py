"""The launch files: what they declare, and the node that they start."""

import importlib.util
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

from hiu_ros.ros import launch_values

ROOT = Path(__file__).resolve().parents[2]


def test_rviz_shows_what_the_node_publishes():
    from_node = {'/image', '/annotated', '/markers', '/points'}
    config = yaml.safe_load((ROOT / 'config' / 'hiu.rviz').read_text())
    displays = config['Visualization Manager']['Displays']
    topics = {d['Topic']['Value'] for d in displays if 'Topic' in d}
    assert topics == from_node
    assert {d['Class'].rpartition('/')[2] for d in displays} >= {
        'Image', 'MarkerArray', 'PointCloud2', 'TF'}
    markers = next(d for d in displays if d['Class'].endswith('MarkerArray'))
    rclpy = pytest.importorskip('rclpy')
    assert rclpy
    from hiu_ros.ros.markers import NAMESPACES
    assert set(markers['Namespaces']) == set(NAMESPACES)


def load(name):
    pytest.importorskip('launch')
    pytest.importorskip('launch_ros')
    spec = importlib.util.spec_from_file_location(name, ROOT / 'launch' / f'{name}.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('name', ['hiu', 'demo'])
def test_every_argument_is_described(name):
    description = load(name).generate_launch_description()
    arguments = description.get_launch_arguments()
    assert len(arguments) >= 4
    assert all(len(argument.description) > 10 for argument in arguments)


@pytest.fixture
def values(monkeypatch):
    """`values(image='x')`: every argument of hiu.launch.py, by default its own default.

    Modules of a ROS distribution that are missing here are stood in for: the table needs none.
    """
    for name in ('launch.actions', 'launch.events', 'launch.substitutions', 'launch_ros.actions',
                 'launch_ros.event_handlers', 'launch_ros.events.lifecycle',
                 'launch', 'launch_ros'):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    packages = MagicMock(get_package_share_directory=lambda name: '/share')
    monkeypatch.setitem(sys.modules, 'ament_index_python.packages', packages)
    pytest.importorskip('lifecycle_msgs')
    table = runpy.run_path(str(ROOT / 'launch' / 'hiu.launch.py'))['ARGUMENTS']
    defaults = {name: default for name, default, *_ in table}
    return lambda **given: {**defaults, **given}


def test_what_is_not_given_is_left_to_the_parameters_file(values):
    assert launch_values.parameters(values()) == {}
    assert launch_values.parameters(values(lifecycle_events='false')) == {}


def test_what_is_given_becomes_a_parameter(values):
    assert launch_values.parameters(values(
        use_depth='true', compressed='false', compressed_depth='true', device='cpu',
        cameras='left, right', lifecycle_events='true',
    )) == {'use_depth': True, 'compressed': False, 'compressed_depth': True, 'device': 'cpu',
           'cameras': ['left', 'right'], 'autostart': False}


@pytest.mark.parametrize('written, clock', [('true', True), ('True', True), ('False', False)])
def test_node_and_viewer_have_one_clock(values, written, clock):
    given = values(use_sim_time=written)
    assert launch_values.parameters(given) == {'use_sim_time': clock}
    assert launch_values.viewer_parameters(given) == {'use_sim_time': clock}
    assert launch_values.viewer_parameters(values(device='cpu')) == {}


@pytest.mark.parametrize('image, camera_info', [
    ('image', 'camera_info'), ('/image_raw', '/camera_info'),
    ('camera/image_raw', 'camera/camera_info'), ('/a/b/image', '/a/b/camera_info'),
])
def test_camera_info_is_beside_the_image(values, image, camera_info):
    assert launch_values.remappings(values(image=image, namespace='arm')) == [
        ('image', image), ('camera_info', camera_info), ('depth', 'depth')]
    own = values(image=image, camera_info='/x')
    assert dict(launch_values.remappings(own))['camera_info'] == '/x'


def test_of_compressed_images_the_topic_may_be_named_as_it_is(values):
    given = values(image='/a/image/compressed', compressed='true')
    assert launch_values.remappings(given) == launch_values.remappings(values(image='/a/image'))
    assert dict(launch_values.viewer_remappings(given))['/image'] == '/a/image'
    # The parameters file may say so, and the node takes either name.
    by_file = values(image='/a/image/compressed')
    assert dict(launch_values.remappings(by_file)) == {
        'image': '/a/image/compressed', 'camera_info': '/a/camera_info', 'depth': 'depth'}
    assert dict(launch_values.viewer_remappings(by_file))['/image'] == '/a/image'
    raw = values(image='/a/compressed', compressed='false')
    assert dict(launch_values.remappings(raw))['camera_info'] == '/a/camera_info'
    raw = values(image='/a/compressed')
    assert dict(launch_values.remappings(raw))['image'] == '/a/compressed'


@pytest.mark.parametrize('given', [
    {'image': '/image_raw'}, {'camera_info': 'camera_info'}, {'depth': '/depth'},
])
def test_topics_of_a_single_camera_are_refused_where_cameras_are_named(values, given):
    assert launch_values.remappings(values(cameras='left')) == []
    (name, topic), = given.items()
    with pytest.raises(ValueError, match=f'{name}:={topic} .*<name>/{name}'):
        launch_values.remappings(values(cameras='left', **given))


def test_a_parameters_file_that_is_not_there_is_refused(values, tmp_path):
    path = tmp_path / 'mine.yaml'
    with pytest.raises(ValueError, match=f'params_file:={path} is no file'):
        launch_values.parameters_file(values(params_file=str(path)))
    path.write_text('/**: {ros__parameters: {device: cpu}}')
    assert launch_values.parameters_file(values(params_file=str(path))) == str(path)


def test_rviz_shows_the_topics_of_the_node_in_whatever_namespace_both_are(values):
    named = launch_values.viewer_remappings(values(cameras='left, right'))
    single = launch_values.viewer_remappings(values(image='camera/image_raw'))
    absolute = launch_values.viewer_remappings(values(image='/camera/image_raw'))
    assert dict(absolute)['/image'] == '/camera/image_raw'
    for mappings, below, image in ((named, 'left/', 'left/image'),
                                   (single, '', 'camera/image_raw')):
        rules = [word for mapping in mappings for word in ('-r', ':='.join(mapping))]
        result = subprocess.run(
            [sys.executable, '-c', 'import sys, rclpy; rclpy.init(args=sys.argv); '
             'node = rclpy.create_node("rviz"); print(*(node.resolve_topic_name(topic) for topic '
             'in ("/image", "/annotated", "/markers", "/points")))',
             '--ros-args', '-r', '__ns:=/robot/arm', *rules],
            capture_output=True, text=True, timeout=240)
        assert result.stdout.split() == [f'/robot/arm/{topic}' for topic in (
            image, f'{below}annotated', f'{below}markers', f'{below}points')], result.stderr


@pytest.mark.parametrize('namespace', ['demo', '/demo'])
@pytest.mark.parametrize('source', ["it's my \"clip\" é.mp4", '0'])
def test_the_demo_hands_its_source_on_as_it_is(tmp_path, namespace, source):
    arguments = launch_values.source_arguments(
        {'namespace': namespace, 'source': source, 'loop': 'false'})
    result = subprocess.run(
        [sys.executable, '-c', 'import sys, rclpy; from rclpy.node import Node; '
         'rclpy.init(args=sys.argv); node = Node("x"); '
         'print(node.get_namespace(), node.declare_parameter("source", "").value)',
         '--ros-args', *arguments], capture_output=True, text=True, timeout=240)
    assert result.stdout.strip() == f'/demo {source}', result.stderr


def actions_of(**arguments):
    module = load('hiu')
    from launch import LaunchContext

    context = LaunchContext()
    for name, default, *_ in module.ARGUMENTS:
        context.launch_configurations[name] = arguments.get(name, default)
    return module._actions(context)


def test_hiu_launch_starts_what_was_asked_for(monkeypatch):
    monkeypatch.setattr(launch_values, 'no_viewer', lambda: '')
    names = [type(a).__name__ for a in actions_of()]
    assert names == ['LifecycleNode']
    with pytest.raises(ValueError, match='params_file'):
        actions_of(params_file='/no/such.yaml')
    names = [type(a).__name__ for a in actions_of(rviz='true', lifecycle_events='true')]
    assert names == ['RegisterEventHandler', 'EmitEvent', 'LifecycleNode', 'Node']


def test_without_rviz_the_node_is_started_all_the_same(monkeypatch):
    monkeypatch.setattr(launch_values, 'no_viewer', lambda: 'RViz is not installed')
    names = [type(a).__name__ for a in actions_of(rviz='true')]
    assert names == ['LifecycleNode', 'LogInfo']


def test_whether_rviz_is_there_is_what_the_index_of_packages_says(monkeypatch, tmp_path):
    pytest.importorskip('ament_index_python')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert 'apt install ros-jazzy-rviz2' in launch_values.no_viewer()
    marker = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'rviz2'
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert launch_values.no_viewer() == ''


def start(file, *arguments, domain):
    environment = {
        **os.environ, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1',
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    code = (
        'import sys\nfrom launch import LaunchDescription, LaunchService\n'
        'from launch.actions import IncludeLaunchDescription\n'
        'from launch.launch_description_sources import PythonLaunchDescriptionSource\n'
        'service = LaunchService()\n'
        'service.include_launch_description(LaunchDescription([IncludeLaunchDescription(\n'
        '    PythonLaunchDescriptionSource(sys.argv[1]),\n'
        '    launch_arguments=[a.split(":=") for a in sys.argv[2:]])]))\n'
        'sys.exit(service.run())\n'
    )
    return subprocess.Popen(
        [sys.executable, '-c', code, str(ROOT / 'launch' / file), *arguments], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )


def end(process):
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=60.0)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def test_lifecycle_events_bring_the_node_up(peer, domain, wait_for):
    load('hiu')
    pytest.importorskip('hiu_ros.msg')
    from lifecycle_msgs.srv import GetState

    process = start('hiu.launch.py', 'lifecycle_events:=true', 'name:=launched', 'namespace:=left',
                    'image:=camera/image_raw', 'device:=cpu', domain=domain)
    try:
        def active():
            response = peer.call(GetState, 'left/launched/get_state', GetState.Request(), 5.0)
            return response is not None and response.current_state.label == 'active'

        assert wait_for(active, step=0.5)
        peer.listen('left/hands', peer_type())
        assert wait_for(lambda: peer.node.count_subscribers('left/camera/image_raw'))
        assert wait_for(lambda: peer.node.count_subscribers('left/camera/camera_info'))
    finally:
        log = end(process)
    assert 'Traceback' not in log and '[ERROR]' not in log, log


def peer_type():
    from hiu_ros.ros.topics import OUTPUTS
    return OUTPUTS['hands']


def test_demo_plays_a_folder_of_images(peer, domain, wait_for, tmp_path):
    load('demo')
    pytest.importorskip('hiu_ros.msg')
    import cv2
    import numpy as np

    for k in range(3):
        cv2.imwrite(str(tmp_path / f'{k}.png'), np.full((120, 160, 3), 60 * k, np.uint8))
    process = start('demo.launch.py', f'source:={tmp_path}', 'rviz:=false', domain=domain)
    try:
        peer.listen('hiu_demo/hands', peer_type())
        message = wait_for(lambda: peer.received['hiu_demo/hands'])
        assert message[0].image_width == 160
        assert message[0].header.frame_id == 'camera_optical_frame'
    finally:
        log = end(process)
    assert 'Traceback' not in log and '[ERROR]' not in log, log


def test_demo_ends_with_its_source(domain, tmp_path):
    load('demo')
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((120, 160, 3), np.uint8))
    process = start('demo.launch.py', f'source:={tmp_path}', 'rviz:=false', 'loop:=false',
                    domain=domain)
    try:
        log = process.communicate(timeout=240.0)[0]
    finally:
        if process.poll() is None:
            end(process)
    assert process.returncode == 0 and 'Traceback' not in log and '[ERROR]' not in log, log
