"""Cameras that are missing, that are two, or that publish otherwise than the node expects."""

import re
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from hiu_ros.msg import HandKeypointsArray  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402


@pytest.fixture
def spawn(spawn):
    nodes = []

    def start(*arguments, **keywords):
        nodes.append(spawn(*arguments, **keywords))
        return nodes[-1]

    yield start
    for node in nodes:
        assert node.alive and 'Traceback' not in node.log, node.log


def test_why_no_image_comes_is_told_in_diagnostics_and_in_the_log(spawn, peer):
    node = spawn(
        '-r', '__node:=missing', '-r', 'image:=front/image', '-r', 'depth:=front/depth',
        parameters={'lazy': False, 'warn_silence': 0.2, 'error_silence': 0.2, 'use_depth': True})

    def told(text):
        return node.wait_log(f'no image: {text}') and peer.status(
            lambda s: 'missing' in s.name and f's: {text}' in s.message)

    assert told('nobody publishes /front/image')
    peer.node.create_publisher(CompressedImage, 'front/image', 1)
    assert told('/front/image carries sensor_msgs/msg/CompressedImage, expected '
                'sensor_msgs/msg/Image; the parameter compressed')
    peer.node.create_publisher(CompressedImage, 'front/depth', 1)
    found = peer.status(lambda s: 'missing' in s.name and any(
        'front/depth carries' in pair.value for pair in s.values))
    depth = next(pair.value for pair in found.values if pair.key == 'depth')
    assert 'the parameter compressed_depth makes the node read <depth>/compressedDepth' in depth


def test_a_publisher_that_nothing_comes_from_may_have_large_images_unless_none_can_be_lost(
    spawn, peer
):
    quick = {'lazy': False, 'warn_silence': 0.2, 'error_silence': 60.0}
    spawn('-r', '__node:=lossy', '-r', 'image:=mute/image', parameters=quick)
    spawn('-r', '__node:=lossless', '-r', 'image:=mute/image', parameters=quick | {
        'qos_overrides./mute/image.subscription.reliability': 'reliable'})
    peer.node.create_publisher(Image, 'mute/image', 1)

    def told(name):
        return peer.status(
            lambda s: name in s.name and 'mute/image sends none' in s.message)

    assert 'docs/ros.md, Large images' in told('lossy').message
    assert 'lost' not in told('lossless').message


def test_images_that_are_rectified_by_their_name_are_told_with_the_parameter(
    spawn, peer, wait_for
):
    node = spawn('-r', '__node:=bent', '-r', 'image:=bent/image_rect',
                 '-r', 'camera_info:=bent/camera_info')
    message = CameraInfo(width=160, height=120, k=[99.0, 0, 80, 0, 99, 60, 0, 0, 1],
                         distortion_model='plumb_bob', d=[0.1, 0.0, 0.0, 0.0, 0.0])
    assert wait_for(lambda: peer.send(message, 'bent/camera_info') or any(
        '/bent/image_rect are rectified by their name: set the parameter rectified' in line
        for line in node.lines), step=0.1), node.log


def test_why_no_camera_info_comes_is_told_and_one_sent_before_is_had_by_its_cure(spawn, peer):
    def told(name, text):
        def wanted(status):
            values = {pair.key: pair.value for pair in status.values}
            return name in status.name and text in values['camera_info'] and status

        found = peer.status(wanted)
        assert found and 'camera_info' not in found.message
        return True

    spawn('-r', '__node:=unplaced', '-r', 'camera_info:=before/camera_info')
    assert told('unplaced', 'none, nobody publishes /before/camera_info')
    latched = peer.node.create_publisher(CameraInfo, 'before/camera_info', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    assert told('unplaced', 'none, the publisher of /before/camera_info sends none; what it sent')
    latched.publish(CameraInfo(width=160, height=120, k=[99.0, 0, 80, 0, 99, 60, 0, 0, 1]))
    cure = 'qos_overrides./before/camera_info.subscription'
    spawn('-r', '__node:=placed', '-r', 'camera_info:=before/camera_info', parameters={
        f'{cure}.durability': 'transient_local', f'{cure}.reliability': 'reliable'})
    assert told('placed', 'used')


def test_two_cameras_share_one_node(spawn, peer, wait_for):
    node = spawn('-r', '__node:=pair', parameters={'cameras': "['left','right']"})
    assert node.wait_log('fake on fake')
    for camera in ('left', 'right'):
        peer.listen(f'{camera}/hands', HandKeypointsArray)

    def answered():
        images = {'left': peer.image(1), 'right': peer.image(3, size=(64, 48))}
        for camera, image in images.items():
            peer.send(image, f'{camera}/image')
        found = [peer.answer(image.header, f'{camera}/hands', timeout=1.0)
                 for camera, image in images.items()]
        return all(found) and found

    answers = wait_for(answered)
    assert answers, node.log
    assert [len(answer.hands) for answer in answers] == [1, 3]
    assert [answer.image_width for answer in answers] == [160, 64]


def test_a_publisher_that_does_not_fit_is_told_with_the_cure(spawn, peer):
    node = spawn('-r', '__node:=strict', '-r', 'image:=strict_image', parameters={
        'lazy': False, 'qos_overrides./strict_image.subscription.reliability': 'reliable'})
    assert node.wait_log('fake on fake')
    peer.node.create_publisher(Image, 'strict_image', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    assert node.wait_log('qos_overrides./strict_image.subscription.reliability')


@pytest.mark.parametrize('compressed', [False, True])
def test_depth_that_follows_its_image_is_waited_for(spawn, peer, wait_for, compressed):
    node = spawn('-r', '__node:=deep', '-r', 'hands:=deep_hands',
                 parameters={'use_depth': True, 'compressed_depth': compressed})
    assert node.wait_log('fake on fake')
    peer.listen('deep_hands', HandKeypointsArray)
    peer.listen('/diagnostics', DiagnosticArray)

    def all_have_depth():
        image = peer.image(1)
        peer.send(image)
        time.sleep(0.02)
        pixels = np.full((120, 160), 700, np.uint16)
        if compressed:
            peer.send(CompressedImage(
                header=image.header, format='16UC1; compressedDepth png',
                data=bytes(12) + cv2.imencode('.png', pixels)[1].tobytes(),
            ), 'depth/compressedDepth')
        else:
            peer.send(Image(header=image.header, width=160, height=120, step=320,
                            encoding='16UC1', data=pixels.tobytes()), 'depth')
        peer.answer(image.header, 'deep_hands', timeout=1.0)
        # The depth of the image before is older than the node takes.
        time.sleep(0.1)
        values = [{pair.key: pair.value for pair in status.values}
                  for message in peer.received['/diagnostics'] for status in message.status
                  if 'deep' in status.name]
        return [v for v in values if v['depth'] == 'used' and v['without depth'] == '0'
                and float(v['rate out [Hz]']) > 1]

    # Without a camera_info it places none.
    for values in wait_for(all_have_depth):
        assert re.fullmatch('0 of [1-9][0-9]*', values['hands placed by depth'])


@pytest.mark.parametrize('suffix', ['', '/compressed'])
def test_a_corrupt_jpeg_is_one_line(spawn, peer, wait_for, suffix):
    node = spawn('-r', '__node:=packed', '-r', f'image:=camera/image_raw{suffix}',
                 '-r', 'hands:=packed_hands', parameters={'compressed': True})
    assert node.wait_log('fake on fake')
    peer.listen('packed_hands', HandKeypointsArray)
    good = np.zeros((120, 160, 3), np.uint8)
    good[:8, :8] = 1

    def send(data):
        message = CompressedImage(format='jpeg', data=data)
        message.header.stamp = peer.stamp()
        peer.send(message, 'camera/image_raw/compressed')
        return peer.answer(message.header, 'packed_hands', timeout=1.0)

    ok, data = cv2.imencode('.png', good)
    answer = wait_for(lambda: send(data.tobytes()))
    assert len(answer.hands) == 1
    ok, data = cv2.imencode('.jpg', good)
    for _ in range(3):
        assert send(data.tobytes()[:200]) is None
    assert sum('cut short or damaged' in line for line in node.lines) == 1
    for start in (b'abcd', b'mnop', b'\xa0\xff\xbe\xcd'):
        assert send(start + data.tobytes()) is None
    assert sum('neither JPEG nor PNG' in line for line in node.lines) == 1
    assert wait_for(lambda: send(data.tobytes())) is not None
