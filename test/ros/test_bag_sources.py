"""Bags as sources: unusable images are skipped, empty and damaged bags are one line."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags')

from rosbags.highlevel import AnyReader  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

from hiu_ros.perception.picture_source import SourceError  # noqa: E402
from hiu_ros.ros.sources import open_source  # noqa: E402

TYPES = get_typestore(Stores.ROS2_JAZZY)
IMAGE = 'sensor_msgs/msg/Image'


@pytest.fixture
def write(tmp_path):
    """`write(count, cut=(...))`: a bag of images, those with numbers in `cut` without data."""
    def write(count, cut=(), storage=StoragePlugin.SQLITE3, topic='/camera/image_raw'):
        header, image, stamp = (TYPES.types[name] for name in (
            'std_msgs/msg/Header', IMAGE, 'builtin_interfaces/msg/Time'))
        path = tmp_path / 'bag'
        with Writer(path, version=9, storage_plugin=storage) as writer:
            connection = writer.add_connection(topic, IMAGE, typestore=TYPES)
            for k in range(count):
                data = np.full(0 if k in cut else 160 * 120, k, np.uint8)
                message = image(
                    header(stamp(k, 0), 'camera'), 120, 160, 'mono8', 0, 160, data)
                writer.write(connection, 10**9 * (k + 1), TYPES.serialize_cdr(message, IMAGE))
        return path
    return write


def test_the_topic_that_holds_pictures_is_played_at_its_own_rate(tmp_path):
    header, image, stamp, packed = (TYPES.types[name] for name in (
        'std_msgs/msg/Header', IMAGE, 'builtin_interfaces/msg/Time',
        'sensor_msgs/msg/CompressedImage'))
    at = header(stamp(1, 0), 'camera')
    depth = packed(at, '16UC1; compressedDepth png', np.zeros(40, np.uint8))
    grey = image(at, 10, 10, 'mono8', 0, 10, np.zeros(100, np.uint8))
    with Writer(tmp_path / 'bag', version=9) as writer:
        # Announced, but never published; and what no camera sees.
        writer.add_connection('/image', IMAGE, typestore=TYPES)
        for topic, message, seconds in (('/a/image/compressedDepth', depth, 0.0), *(
                ('/head/image_raw', grey, 60.0 + 0.05 * k) for k in range(4))):
            kind = message.__msgtype__
            connection = next((c for c in writer.connections if c.topic == topic), None)
            connection = connection or writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connection, int(1e9 * seconds), TYPES.serialize_cdr(message, kind))
    source = open_source(str(tmp_path / 'bag'))
    assert source.name == 'bag /head/image_raw' and source.rate == pytest.approx(20.0)
    assert source.count == len(list(source.pictures)) == 4


def test_topics_of_images_that_are_passed_over_by_their_names_are_told(write):
    with pytest.raises(SourceError, match=r'of a camera: the names of /cam/depth/image_raw tell'):
        open_source(str(write(2, topic='/cam/depth/image_raw')))


def test_a_driver_that_was_started_again_is_played_on(tmp_path):
    from rosbags.rosbag1 import Writer as Writer1

    types = get_typestore(Stores.ROS1_NOETIC)
    header, image, stamp = (types.types[name] for name in (
        'std_msgs/msg/Header', IMAGE, 'builtin_interfaces/msg/Time'))
    with Writer1(tmp_path / 'a.bag') as writer:
        connections = [writer.add_connection('/image', IMAGE, typestore=types, callerid=name)
                       for name in ('/first', '/second')]
        for k in range(5):
            message = image(header(k, stamp(k, 0), 'camera'), 10, 10, 'mono8', 0, 10,
                            np.full(100, k, np.uint8))
            writer.write(connections[k > 2], 10**9 * (k + 1), types.serialize_ros1(message, IMAGE))
    source = open_source(str(tmp_path / 'a.bag'))
    assert source.count == 5
    assert [int(p.image[0, 0, 0]) for p in source.pictures] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('later', [False, True])
def test_camera_info_is_played_as_it_was_recorded(tmp_path, later):
    pytest.importorskip('rclpy')
    from std_msgs.msg import Header

    from hiu_ros.ros import messages
    from hiu_ros.ros.stream import camera_of

    header, image, stamp, camera_info, region = (TYPES.types[name] for name in (
        'std_msgs/msg/Header', IMAGE, 'builtin_interfaces/msg/Time',
        'sensor_msgs/msg/CameraInfo', 'sensor_msgs/msg/RegionOfInterest'))
    at = header(stamp(1, 0), 'camera')
    fisheye = camera_info(
        at, 240, 320, 'equidistant', np.array([0.1, 0.02, 0.0, 0.0]),
        np.array([200.0, 0, 160, 0, 210, 120, 0, 0, 1]), np.eye(3).ravel(),
        np.array([150.0, 0, 150, 9, 0, 150, 110, 0, 0, 0, 1, 0]), 2, 2,
        region(20, 10, 200, 300, True))
    grey = image(at, 100, 150, 'mono8', 0, 150, np.zeros(15000, np.uint8))
    with Writer(tmp_path / 'bag', version=9) as writer:
        # Some drivers publish it behind the image that it belongs to.
        for topic, message, stamped in (('/a/camera_info', fisheye, 10**9 + 1000 * later),
                                        ('/a/image_raw', grey, 10**9)):
            kind = message.__msgtype__
            writer.write(writer.add_connection(topic, kind, typestore=TYPES), stamped,
                         TYPES.serialize_cdr(message, kind))
    picture, = open_source(str(tmp_path / 'bag')).pictures
    played = messages.camera_info(Header(frame_id='a'), picture.info)
    assert played.header.frame_id == 'a' and played.roi.do_rectify
    for rectified in (False, True):
        assert camera_of(played, rectified) == camera_of(fisheye, rectified)
    assert camera_of(played, False).distortion == 'equidistant'
    camera_of(played, False).check_image(100, 150)


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_an_unusable_image_is_skipped_and_counted(write, storage):
    source = open_source(str(write(6, cut=(0, 3), storage=storage)))
    assert source.skipped == ''
    pictures = list(source.pictures)
    assert [int(p.image[0, 0, 0]) for p in pictures] == [1, 2, 4, 5]
    assert [p.time for p in pictures] == pytest.approx([0.0, 1.0, 3.0, 4.0])
    assert source.skipped.startswith('2 unusable images') and 'data holds 0' in source.skipped


def test_a_damaged_bag_is_named_where_the_damage_begins(write, monkeypatch):
    messages = AnyReader.messages

    def damaged(self, **arguments):
        yield from islice(messages(self, **arguments), 2)
        raise RuntimeError('database disk image is malformed')

    # Where a storage finds damage depends on its version; its errors are of no common kind.
    monkeypatch.setattr(AnyReader, 'messages', damaged)
    path, seen = write(4), []
    with pytest.raises(SourceError, match=f'{path} is damaged: database disk image'):
        seen.extend(picture.time for picture in open_source(str(path)).pictures)
    assert seen == [0.0, 1.0]


@pytest.mark.parametrize('storage, cut, words', [
    (StoragePlugin.MCAP, True, 'bag.mcap is not a bag that can be read.*`mcap recover` mends'),
    (StoragePlugin.SQLITE3, True, 'bag.db3 is not a bag that can be read: [^;]*$'),
    (StoragePlugin.SQLITE3, False, 'has no metadata.yaml.* give .*bag.db3, or call `ros2 bag rei'),
])
def test_of_a_recording_that_was_cut_off_it_is_told_how_to_mend_it(write, storage, cut, words):
    folder = write(4, storage=storage)
    (folder / 'metadata.yaml').unlink()
    (file,) = folder.iterdir()
    if cut:
        file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(SourceError, match=words):
        list(open_source(str(file if cut else folder)).pictures)
    if not cut:
        assert len(list(open_source(str(file)).pictures)) == 4


@pytest.fixture
def source_node(domain):
    """`source_node(bag, loop)`: the source node, run to its end."""
    pytest.importorskip('rclpy')

    def run(bag, loop):
        return subprocess.run(
            [sys.executable, '-m', 'hiu_ros.ros.source_node', '--ros-args', '-p', f'loop:={loop}',
             '-p', f'source:={bag}'],
            cwd=Path(__file__).parents[2], env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
            capture_output=True, text=True, timeout=240)

    return run


@pytest.mark.parametrize('count, words', [
    (0, 'has no pictures'), (2, 'has no pictures: 2 unusable images were skipped'),
])
def test_the_source_node_ends_where_a_bag_shows_nothing(write, source_node, count, words):
    done = source_node(write(count, cut=range(count)), 'true')
    assert done.returncode == 1 and words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_source_node_tells_at_the_end_what_it_skipped(write, source_node):
    done = source_node(write(3, cut=(1,)), 'false')
    assert done.returncode == 0 and done.stderr.count('1 unusable images were skipped') == 1
