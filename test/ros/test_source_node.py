"""The source node: pictures at their time, with their camera_info, as a driver sends them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.perception.picture_source import Picture

PICTURE = np.full((48, 64, 3), (40, 90, 200), np.uint8)


@pytest.mark.parametrize('source', ['93', '/nowhere/clip.mp4', 300 * 'a'])
def test_the_source_node_takes_a_camera_number_or_a_path_and_says_what_is_wrong(source, domain):
    pytest.importorskip('rclpy')
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain)}
    done = subprocess.run(
        [sys.executable, '-m', 'hiu_ros.ros.source_node', '--ros-args', '-p', f'source:={source}'],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True,
        timeout=240)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('source: ') and ('camera 93' if source == '93' else source) in last


def test_signals_end_the_source_node_without_a_traceback(spawn, peer, wait_for, tmp_path):
    """A launch sends one, the terminal another, and the second comes while it ends already."""
    cv2.imwrite(str(tmp_path / '0.png'), PICTURE)
    node = spawn('-p', f'source:={tmp_path}', module='hiu_ros.ros.source_node')
    assert wait_for(lambda: peer.node.count_publishers('image'))
    for _ in range(50):
        if node.alive:
            node.process.send_signal(signal.SIGINT)
            time.sleep(0.01)
    assert node.wait() == 0 and 'Traceback' not in node.log, node.log


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_imports_of_the_source_node_ends_it_with_zero(tmp_path, number):
    pytest.importorskip('rclpy')
    (tmp_path / 'cv2.py').write_text(f"""
import os
try:
    os.kill(os.getpid(), {number.value})
    print('goes on')
except BaseException:
    print('raised')
    raise
""")
    paths = [str(tmp_path), str(Path(__file__).parents[2]), os.environ.get('PYTHONPATH', '')]
    before = signal.signal(number, signal.SIG_DFL)  # nohup has one ignored, as a process inherits
    try:
        done = subprocess.run(
            [sys.executable, '-m', 'hiu_ros.ros.source_node'], capture_output=True, text=True,
            timeout=240, env=os.environ | {'PYTHONPATH': os.pathsep.join(paths)})
    finally:
        signal.signal(number, before)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_a_signal_ends_the_source_node_though_the_middleware_hangs(tmp_path, domain):
    cv2.imwrite(str(tmp_path / '0.png'), PICTURE)
    process = subprocess.Popen(
        [sys.executable, '-c', 'import sys, time; '
         'from hiu_ros.ros import playing_node as module, source_node; '
         'module.rclpy.shutdown = lambda: time.sleep(100); '
         'module.SourceNode._publish = lambda *_: print("plays", flush=True); '
         'sys.exit(source_node.main())', '--ros-args', '-p', f'source:={tmp_path}'],
        stdout=subprocess.PIPE, text=True, env={**os.environ, 'ROS_DOMAIN_ID': str(domain)})
    try:
        assert process.stdout.readline() == 'plays\n'
        process.send_signal(signal.SIGINT)
        assert process.wait(20.0) == 0
    finally:
        process.kill()


def test_a_single_picture_is_repeated_at_a_cameras_rate(spawn, peer, wait_for, tmp_path):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    cv2.imwrite(str(tmp_path / '0.png'), PICTURE)
    received = []
    peer.node.create_subscription(Image, 'image', received.append, qos_profile_sensor_data)
    spawn('-p', f'source:={tmp_path}', module='hiu_ros.ros.source_node')
    assert wait_for(lambda: len(received) > 3)
    stamps = np.array([m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in received[:4]])
    assert np.diff(stamps).min() > 0.02


def test_the_source_node_hears_the_clock_and_answers_for_its_parameters(
        spawn, peer, wait_for, tmp_path):
    from rcl_interfaces.srv import GetParameters
    from rclpy.qos import qos_profile_sensor_data
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image

    cv2.imwrite(str(tmp_path / '0.png'), PICTURE)
    stamps = set()
    peer.node.create_subscription(
        Image, 'image', lambda m: stamps.add(m.header.stamp.sec), qos_profile_sensor_data)
    clock = peer.node.create_publisher(Clock, '/clock', 1)
    now = Clock()
    now.clock.sec = 1234
    spawn('-p', f'source:={tmp_path}', '-p', 'use_sim_time:=true',
          module='hiu_ros.ros.source_node')

    def told():
        clock.publish(now)
        return 1234 in stamps

    assert wait_for(told)
    client = peer.node.create_client(GetParameters, 'source/get_parameters')
    assert wait_for(client.service_is_ready)
    answer = client.call_async(GetParameters.Request(names=['source']))
    assert wait_for(answer.done)
    assert answer.result().values[0].string_value == str(tmp_path)


@pytest.fixture
def played(monkeypatch):
    """`played(times, loop, live, slow)`: when (s) the source node shows pictures of these times,
    at most seven, of a source of 10 Hz whose second picture takes `slow` s to read."""
    module = pytest.importorskip('hiu_ros.ros.playing_node')

    def run(times, loop=False, live=False, slow=0.0):
        now, shown = [100.0], []

        def sleep(seconds):
            now[0] += seconds

        def pictures():
            for k, moment in enumerate(times):
                sleep(slow * (k == 1))
                yield Picture(None, moment)

        monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
        monkeypatch.setattr(module, 'open_source', lambda _: SimpleNamespace(
            pictures=pictures(), live=live, rate=10.0, name='a', skipped=''))
        monkeypatch.setattr(module.rclpy, 'ok', lambda: len(shown) < 7)
        module.SourceNode.play(SimpleNamespace(
            what='a', loop=loop, _listen=lambda: None,
            _publish=lambda _: shown.append(round(now[0] - 100, 6))))
        return shown

    return run


def test_the_source_node_shows_each_picture_at_its_time_and_waits_for_none_that_is_late(played):
    assert played([0.0, 0.1, 0.5]) == [0.0, 0.1, 0.5]
    assert played([0.0, 0.1, 0.2, 0.5], slow=0.3) == [0.0, 0.3, 0.3, 0.5]
    # A camera has its own pace.
    assert played([0.0, 5.0], live=True) == [0.0, 0.0]


def test_the_source_node_begins_anew_one_picture_after_the_last_but_with_no_camera(played):
    assert played([0.0, 0.1, 0.3], loop=True) == [0.0, 0.1, 0.3, 0.4, 0.5, 0.7, 0.8]
    assert played([0.0, 0.1], loop=True, live=True) == [0.0, 0.0]


def test_camera_info_comes_with_the_stamp_and_the_frame_of_its_image():
    module = pytest.importorskip('hiu_ros.ros.playing_node')
    infos, images = [], []
    node = SimpleNamespace(frame_id='eye', get_clock=module.rclpy.clock.Clock,
                           _info=SimpleNamespace(publish=infos.append),
                           _image=SimpleNamespace(publish=images.append))
    for info in ({'width': 64, 'height': 48, 'k': [50.0] * 9}, None):
        module.SourceNode._publish(node, Picture(PICTURE, 0.0, info))
    assert len(infos) == 1 and infos[0].header == images[0].header and infos[0].k[0] == 50.0
    assert images[0].header.frame_id == 'eye' and images[0].header.stamp.sec > 0
    assert images[1].encoding == 'bgr8' and bytes(images[1].data) == PICTURE.tobytes()
