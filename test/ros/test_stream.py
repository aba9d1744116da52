"""One camera's input: what is told of its camera_info."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from hiu_ros.ros.parameters import NodeOptions  # noqa: E402
from hiu_ros.ros.quiet_log import QuietLog  # noqa: E402
from hiu_ros.ros.slot import Slots  # noqa: E402
from hiu_ros.ros.stream import Stream, doubt_of  # noqa: E402

OPTIONS = NodeOptions()


class Lines(list):
    """A logger that keeps its lines."""

    warning = info = list.append


def info(focal=125.0):
    k = [focal, 0.0, 80.0, 0.0, focal, 60.0, 0.0, 0.0, 1.0]
    return CameraInfo(width=160, height=120, k=k, d=[0.0] * 5, distortion_model='plumb_bob')


def image(width, height, stamp=0.0, arrived=0.0, frame='camera'):
    data = np.zeros((height, width), np.uint8).tobytes()
    message = Image(width=width, height=height, encoding='mono8', step=width, data=data)
    message.header = header(stamp)
    message.header.frame_id = frame
    return serialize_message(message), arrived


def header(stamp):
    return Header(frame_id='camera', stamp=Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9)))


def depth(millimetres, stamp):
    data = np.full((120, 160), millimetres, np.uint16).tobytes()
    return Image(header=header(stamp), width=160, height=120, encoding='16UC1', step=320,
                 data=data)


@pytest.fixture
def stream():
    return Stream(None, '', OPTIONS, Slots(), QuietLog(Lines()))


def test_a_camera_info_refused_for_every_image_is_never_told_as_used(stream):
    assert stream.camera_state == 'none'
    stream._on_info(info())
    for _ in range(3):
        assert stream.unpack(image(80, 60), OPTIONS).frame.camera is None
        stream._on_info(info())
        assert '160 x 120' in stream.camera_state
    assert stream.unpack(image(160, 120), OPTIONS).frame.camera is not None
    assert stream.camera_state == 'used'


def test_a_camera_info_that_is_no_camera_is_told_until_a_good_one_comes(stream):
    stream._on_info(info(math.nan))
    assert stream.unpack(image(160, 120), OPTIONS).frame.camera is None
    assert 'not finite' in stream.camera_state
    stream._on_info(info())
    assert stream.camera_state == 'used'


def test_a_camera_info_whose_distortion_is_of_no_lens_is_told_and_ends_no_node(stream):
    wild = info()
    wild.d = [1e9, 1e-9, 0.0, 0.0, 1e-300]
    stream._on_info(wild)
    assert stream.unpack(image(160, 120), OPTIONS).frame.camera is None
    assert 'are of no lens' in stream.camera_state
    stream._on_info(info())
    assert stream.camera_state == 'used'


def told(message):
    """What diagnostics and log tell of a camera_info, after three of it and of its images."""
    lines = Lines()
    stream = Stream(None, '', OPTIONS, Slots(), QuietLog(lines))
    for _ in range(3):
        stream._on_info(message)
        camera = stream._camera
        assert stream.unpack(image(camera.width, camera.height), OPTIONS).frame.camera == camera
    return stream.camera_state, lines


def test_intrinsics_of_another_resolution_or_camera_are_used_and_told_once():
    odd = info()
    odd.k[2] = 240.0
    state, (line,) = told(odd)
    assert state.startswith('used, but its principal point 240, 60 is outside of the 160 x 120')
    assert line == f'camera_info is {state}'
    other = info()
    other.header.frame_id = 'right_camera'
    state, (line,) = told(other)
    assert "used, but it is of frame 'right_camera' and the image of 'camera'" in state
    assert line == f'camera_info is {state}'
    for frame in ('', 'camera'):
        other.header.frame_id = frame
        assert told(other) == ('used', [])


def test_an_image_without_a_frame_is_of_no_other_camera_than_its_camera_info(stream):
    own = info()
    own.header.frame_id = 'camera'
    stream._on_info(own)
    stream.unpack(image(160, 120, frame=''), OPTIONS)
    assert stream.camera_state == 'used'


def test_a_region_of_a_larger_image_may_lie_beside_the_principal_point():
    part = info()
    part.roi = RegionOfInterest(x_offset=100, y_offset=80, width=40, height=30)
    assert told(part) == ('used', [])
    part.binning_y = 5
    assert told(part) == ('used', [])
    part.k[2] = 240.0
    assert 'outside of the 160 x 120' in told(part)[0]


def test_a_region_beyond_the_sensor_is_told():
    part = info()
    part.roi = RegionOfInterest(x_offset=120, y_offset=80, width=41, height=40)
    assert 'its region, 41 x 40 at 120, 80, reaches beyond its 160 x 120 pixels' in told(part)[0]
    part.roi.width, part.roi.height = 40, 41
    assert 'its region, 40 x 41 at 120, 80, reaches beyond its 160 x 120 pixels' in told(part)[0]
    part.roi.height = 40
    assert told(part) == ('used', [])


def test_a_frame_has_the_camera_of_the_region_and_binning_that_its_camera_info_tells(stream):
    part = info()
    part.roi = RegionOfInterest(x_offset=100, y_offset=80, width=40, height=30)
    part.binning_x = part.binning_y = 2
    stream._on_info(part)
    camera = stream.unpack(image(20, 15), OPTIONS).frame.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (62.5, 62.5, -10.25, -10.25)


def test_the_distortion_of_raw_images_is_doubted_for_those_that_are_rectified_by_their_name():
    bent = info()
    bent.d[0] = 0.1
    bent.p = [125.0, 0.0, 80.0, 0.0, 0.0, 125.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert 'rectified by their name' in doubt_of(bent, False, '/a/image_rect_color')
    for message, rectified, topic in ((bent, True, '/image_rect'), (bent, False, '/image_raw'),
                                      (info(), False, '/image_rect')):
        assert doubt_of(message, rectified, topic) == ''


def test_a_doubt_ends_with_the_camera_info_that_it_was_of(stream):
    odd, good = info(), info()
    odd.k[2] = 240.0
    good.header.frame_id = odd.header.frame_id = 'other'
    for message, words in ((odd, 'principal point'), (good, 'frame'), (info(), '')):
        stream._on_info(message)
        stream.unpack(image(160, 120), OPTIONS)
        assert stream.camera_state == 'used' if not words else words in stream.camera_state


def test_images_say_what_they_view_by_their_frame_and_where_that_changes(stream):
    seen = [stream.unpack(image(*size), OPTIONS) for size in ((160, 120),) * 2 + ((80, 60),) * 2]
    assert {one.frame.view for one in seen} == {'camera'}
    assert [one.restart for one in seen] == [
        '', '', "images are 80 x 60 in frame 'camera', no more 160 x 120 in frame 'camera'", '']


@pytest.mark.parametrize('stamp, metres', [(7.0, 0.7), (7.04, 0.7), (7.06, 0.8), (7.115, None)])
def test_a_frame_has_the_depth_nearest_to_it_in_time_within_the_tolerance(stream, stamp, metres):
    for k in range(-5, 2):
        stream._on_depth(depth(700 + 100 * k, 7 + k / 10))
    options = replace(OPTIONS, use_depth=True, depth_tolerance=0.012)
    if metres is None:
        assert stream.unpack(image(160, 120, stamp), options).frame.depth is None
        return
    wide = replace(options, depth_tolerance=0.05)
    found = stream.unpack(image(160, 120, stamp), wide).frame.depth
    np.testing.assert_allclose(found, np.full((120, 160), metres), rtol=1e-6)
    assert stream.unpack(image(160, 120, stamp), OPTIONS).frame.depth is None


def test_without_tolerance_depth_of_the_very_stamp_is_taken(stream):
    stream._on_depth(depth(700, 7.0))
    options = replace(OPTIONS, use_depth=True, depth_tolerance=0.0)
    assert stream.unpack(image(160, 120, 7.0), options).frame.depth is not None
    assert stream.unpack(image(160, 120, 7.001), options).frame.depth is None


def test_of_depth_images_without_stamps_the_newest_is_taken(stream):
    for k in range(3):
        stream._on_depth(depth(700 + k, 0.0))
    found = stream.unpack(image(160, 120), replace(OPTIONS, use_depth=True)).frame.depth
    assert found[0, 0] == pytest.approx(0.702)


def test_why_frames_have_no_depth_is_told_until_one_has():
    assert Stream(None, '', OPTIONS, Slots(), QuietLog(Lines())).depth_state == 'off'
    options = replace(OPTIONS, use_depth=True)
    stream = Stream(None, 'left', options, Slots(), QuietLog(Lines()))

    def state(stamp, width=160):
        stream.unpack(image(width, 120, stamp), options)
        return stream.depth_state

    assert state(7.0) == 'left/depth: no depth image came'
    stream._on_depth(depth(700, 7.0))
    assert 'the nearest is 0.250 s older than the image' in state(7.25)
    assert 'the nearest is 1.000 s younger than the image' in state(6.0)
    header_of_other_frame = depth(700, 9.0)
    header_of_other_frame.header.frame_id = 'depth_frame'
    stream._on_depth(header_of_other_frame)
    assert "in frame 'depth_frame'" in state(9.0)
    assert 'it is 160 x 120, the image 80 x 120' in state(7.0, width=80)
    assert state(7.0) == 'used'
    # Of frames of which some have none, diagnostics tell of the last one without.
    assert 'it is 160 x 120, the image 80 x 120' in stream.depth_fault


def test_regions_are_boxes_only_where_they_are_asked_for(stream):
    def boxes(regions):
        return stream.unpack(image(160, 120), replace(OPTIONS, regions=regions)).frame.boxes

    assert boxes('finder') is None and boxes('topic') == []
    stream._on_region(RegionOfInterest(x_offset=10, y_offset=20, width=50, height=60))
    assert boxes('finder') is None and boxes('topic') == [[10, 20, 50, 60]]
    for half in ({'width': 50}, {'height': 50}):
        stream._on_region(RegionOfInterest(**half))
        assert boxes('topic') == [] == stream._quiet_log._logger


@pytest.mark.parametrize('x, y', [(160, 0), (0, 120), (0, 4_000_000_000)])
def test_a_region_outside_of_the_image_is_told_and_none(stream, x, y):
    options = replace(OPTIONS, regions='topic')
    stream._on_region(RegionOfInterest(x_offset=x, y_offset=y, width=50, height=60))
    for _ in range(3):
        assert stream.unpack(image(160, 120), options).frame.boxes == []
    assert stream._quiet_log._logger == [
        f'the region is ignored: 50 x 60 at {x}, {y} is outside of the 160 x 120 image']
    stream._on_region(RegionOfInterest(x_offset=159, y_offset=119, width=50, height=60))
    assert stream.unpack(image(160, 120), options).frame.boxes == [[159, 119, 50, 60]]


def test_time_is_that_of_the_stamp_or_of_arrival_and_told_where_it_goes_back(stream):
    seen = [stream.unpack(image(160, 120, *times), OPTIONS)
            for times in ((5.25, 90.0), (5.25, 91.0), (5.125, 91.5), (5.0, 92.0), (5.03125, 93.0),
                          (0.0, 93.5))]
    assert [one.frame.stamp for one in seen] == [5.25, 5.25, 5.125, 5.0, 5.03125, 93.5]
    # By an eighth of a second the order alone may be wrong.
    assert [one.restart for one in seen] == ['', '', '', 'time went back', '', '']
    assert seen[0].header == header(5.25)


def test_compressed_depth_is_of_the_same_metres(stream):
    options = replace(OPTIONS, use_depth=True, compressed_depth=True)
    data = cv2.imencode('.png', np.full((120, 160), 700, np.uint16))[1].tobytes()
    for kind, message in (('whole', bytes(12) + data), ('cut short', bytes(12) + data[:-8])):
        stream._on_depth(CompressedImage(
            header=header(7.0), format='16UC1; compressedDepth png', data=message))
        found = stream.unpack(image(160, 120, 7.0), options).frame.depth
        if kind == 'whole':
            assert found.shape == (120, 160) and found == pytest.approx(0.7)
        else:
            assert found is None and 'cut short' in stream.depth_fault
    stream._on_depth(CompressedImage(
        header=header(8.0), format='16UC1; compressedDepth png', data=bytes(12) + data))
    assert stream.unpack(image(80, 120, 8.0), options).frame.depth is None
    assert 'it is 160 x 120, the image 80 x 120: use depth aligned' in stream.depth_fault
