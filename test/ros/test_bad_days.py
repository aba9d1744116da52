"""What goes wrong in the field, against one node process: it says so once and goes on."""

import copy
import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParametersAtomically  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

SIZE = (160, 120)


@pytest.fixture(scope='module')
def node(spawn_shared):
    node = spawn_shared(parameters={
        'use_depth': True, 'warn_silence': 0.5, 'error_silence': 2.2, 'device': 'fake',
    })
    assert node.wait_log('fake on fake')
    return node


@pytest.fixture(autouse=True)
def alive(node):
    yield
    assert node.alive, node.log
    assert 'Traceback' not in node.log, node.log


def info(size=SIZE, focal=125.0, **changes):
    k = [focal, 0.0, size[0] / 2, 0.0, focal, size[1] / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=size[0], height=size[1], k=k, d=[0.0] * 5,
                      distortion_model='plumb_bob', **changes)


def scale_source(peer, **arguments):
    return peer.ask(1, **arguments).hands[0].scale_source


def set_info(peer, wait_for, message, used):
    """Publish a camera_info until the node shows that it came through."""
    for _ in range(20):
        peer.send(message, 'camera_info')
        if (scale_source(peer) == 1) is used:
            return True
    return False


def since(node, count):
    return [line for line in node.lines[count:] if '[INFO]' not in line]


@pytest.mark.parametrize('change, words', [
    (lambda m: setattr(m, 'data', m.data[:1000]), 'data holds 1000 bytes'),
    (lambda m: setattr(m, 'encoding', 'rgb9'), "unknown encoding 'rgb9'"),
    (lambda m: (setattr(m, 'width', 0), setattr(m, 'height', 0)), 'size is zero'),
    (lambda m: setattr(m, 'step', 7), 'step is 7 bytes'),
], ids=['short', 'encoding', 'zero', 'step'])
def test_a_broken_image_is_one_line_and_the_next_one_is_answered(
    node, peer, wait_for, change, words
):
    assert len(peer.ask(1).hands) == 1
    count = len(node.lines)
    for _ in range(4):
        broken = peer.image(1)
        change(broken)
        peer.send(broken)
        # A good image that comes too soon would take the place of the broken one.
        wait_for(lambda: since(node, count), 0.5)
        assert len(peer.ask(2).hands) == 2
    lines = since(node, count)
    assert len(lines) == 1 and words in lines[0] and '[WARN]' in lines[0], lines


@pytest.mark.parametrize('kept', [40, -500], ids=['header', 'data'])
def test_a_message_that_is_cut_short_is_one_line_and_the_next_one_is_answered(
    node, peer, wait_for, kept
):
    from rclpy.serialization import serialize_message

    peer.ask(1)
    count = len(node.lines)
    for _ in range(3):
        peer.publisher('image', Image).publish(serialize_message(peer.image(1))[:kept])
        wait_for(lambda: since(node, count), 0.5)
        assert len(peer.ask(2).hands) == 2
    lines = [line for line in since(node, count) if '[' in line]
    assert len(lines) == 1 and 'image ignored: it is no Image message' in lines[0], lines


def test_broken_images_show_in_diagnostics(node, peer):
    peer.ask(1)
    for _ in range(3):
        broken = peer.image(1)
        broken.encoding = 'rgb9'
        peer.send(broken)
    found = peer.status(lambda s: 'rgb9' in s.message)
    assert found.level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
    values = {pair.key: pair.value for pair in found.values}
    assert 'rgb9' in values['last error'] and int(values['unusable']) >= 1


def test_a_bug_in_perception_costs_one_frame(node, peer, wait_for):
    peer.ask(1)
    count = len(node.lines)
    peer.send(peer.image(1, order=255))
    assert wait_for(lambda: any('a bug in perception' in line for line in since(node, count)))
    assert len(peer.ask(1).hands) == 1


def test_nan_intrinsics_are_told_once_and_count_as_none(node, peer, wait_for):
    assert set_info(peer, wait_for, info(), used=True)
    count = len(node.lines)
    bad = info(focal=math.nan)
    assert set_info(peer, wait_for, bad, used=False)
    for _ in range(5):
        peer.send(bad, 'camera_info')
        hand = peer.ask(1).hands[0]
        assert math.isnan(hand.translation.z) and hand.scale_source == hand.ASSUMED_SIZE
    lines = since(node, count)
    assert len(lines) == 1 and 'not finite' in lines[0]
    found = peer.status(lambda s: 'not finite' in s.message)
    assert found.level != DiagnosticStatus.OK
    assert set_info(peer, wait_for, info(), used=True)


def test_camera_info_of_another_size_is_told_and_not_used(node, peer, wait_for):
    assert set_info(peer, wait_for, info(), used=True)
    assert scale_source(peer, size=(80, 60)) == 0
    assert node.wait_log('camera_info is for 160 x 120 images but the image is 80 x 60')
    assert scale_source(peer) == 1
    found = peer.status(lambda s: True)
    assert {p.key: p.value for p in found.values}['camera_info'] == 'used'


def test_size_encoding_and_frame_may_change_from_image_to_image(node, peer):
    for size, encoding, frame in (((160, 120), 'bgr8', 'a'), ((64, 48), 'mono8', 'b'),
                                  ((320, 200), 'rgba8', ''), ((160, 120), 'rgb8', 'a')):
        for hands in (0, 2):
            answer = peer.ask(hands, size=size, encoding=encoding, frame=frame)
            assert (answer.image_width, answer.image_height) == size
            assert answer.header.frame_id == frame
            if encoding in ('bgr8', 'mono8', 'rgb8', 'rgba8'):
                assert len(answer.hands) == hands


@pytest.mark.parametrize('change, words', [
    (lambda m: (setattr(m, 'width', 80), setattr(m, 'height', 60)), 'depth is ignored: it is 80'),
    (lambda m: setattr(m.header, 'frame_id', 'depth_frame'), "in frame 'depth_frame'"),
    (lambda m: setattr(m, 'encoding', 'rgb8'), "depth encoding 'rgb8'"),
    (lambda m: setattr(m, 'data', m.data[:10]), 'data holds 10 bytes'),
    (lambda m: setattr(m, 'data', bytes(len(m.data))), 'none of its pixels has a distance'),
], ids=['size', 'frame', 'encoding', 'short', 'empty'])
def test_depth_that_does_not_fit_is_told_and_not_used(node, peer, change, words):
    peer.ask(1)
    for _ in range(20):
        image = peer.image(1)
        depth = Image(header=copy.deepcopy(image.header), width=160, height=120,
                          step=320, encoding='16UC1')
        depth.data.frombytes(np.full((120, 160), 700, np.uint16).tobytes())
        change(depth)
        peer.send(depth, 'depth')
        peer.send(image)
        assert peer.answer(image.header, timeout=2.0) or peer.ask(1)
        if any(words in line for line in node.lines):
            break
    assert sum(words in line for line in node.lines) == 1


def test_depth_that_does_not_come_shows_in_diagnostics_until_it_comes(node, peer, wait_for):
    def shown(words, level, offset=None):
        peer.listen('/diagnostics', DiagnosticArray)
        seen = len(peer.received['/diagnostics'])

        def found():
            image = peer.image(1)
            if offset is not None:
                depth = Image(header=copy.deepcopy(image.header), width=160, height=120,
                              step=320, encoding='16UC1')
                depth.header.stamp.sec += offset
                depth.data.frombytes(np.full((120, 160), 700, np.uint16).tobytes())
                peer.send(depth, 'depth')
            peer.send(image)
            # The hands go on without it.
            peer.answer(image.header, timeout=0.2)
            return next((s for m in peer.received['/diagnostics'][seen:] for s in m.status
                         if words in s.message and s.level == level), None)

        return wait_for(found)

    assert set_info(peer, wait_for, info(), True)
    # On a busy machine a report may tell of more, and be an ERROR for that.
    without = shown('frames had no depth, the last: ', DiagnosticStatus.WARN)
    assert int({p.key: p.value for p in without.values}['without depth']) > 0
    late = shown('frames had no depth', DiagnosticStatus.WARN, offset=-9)
    assert 's older than the image' in late.message
    pairs = {p.key: p.value for p in shown('frames/s', DiagnosticStatus.OK, offset=0).values}
    assert pairs['depth'] == 'used'
    placed, _, seen = pairs['hands placed by depth'].partition(' of ')
    assert int(placed) > 0 and placed == seen


def test_the_camera_stops_and_returns(node, peer, wait_for):
    assert peer.status(lambda s: True)
    peer.ask(1)
    levels = []

    def silent():
        levels[:] = [s.level for m in peer.received['/diagnostics'] for s in m.status
                     if 'no image for' in s.message
                     and 's: the publisher of /image sends none, or they are lost' in s.message]
        return DiagnosticStatus.ERROR in levels

    assert wait_for(silent, 30.0) and DiagnosticStatus.WARN in levels, [
        (s.level, s.message) for m in peer.received['/diagnostics'] for s in m.status]
    assert len(peer.ask(2).hands) == 2


def test_two_cameras_on_one_topic_are_named_until_one_leaves(node, peer, wait_for):
    peer.ask(1)
    other = peer.node.create_publisher(Image, 'image', 1)
    found = peer.status(lambda s: '2 publish /image' in s.message and '/peer, /peer' in s.message)
    assert found and found.level != DiagnosticStatus.OK
    peer.node.destroy_publisher(other)
    assert peer.status(lambda s: 'publish /image,' not in s.message)


def test_pause_resume_and_reset(node, peer, wait_for):
    peer.ask(1)
    publisher = peer.publisher('image', Image)
    response = peer.call(SetBool, 'hiu_node/enable', SetBool.Request(data=False))
    assert response.success and response.message == 'paused'
    assert wait_for(lambda: publisher.get_subscription_count() == 0)
    assert peer.call(SetBool, 'hiu_node/enable', SetBool.Request(data=True)).success
    assert len(peer.ask(1).hands) == 1
    assert peer.call(Trigger, 'hiu_node/reset_tracking', Trigger.Request()).success


def test_a_pause_takes_back_what_was_shown(node, peer, wait_for):
    last = peer.ask_all(('hands', 'markers'), hands=1)['hands']
    assert peer.call(SetBool, 'hiu_node/enable', SetBool.Request(data=False)).success
    try:
        assert wait_for(lambda: [m.action for m in peer.received['markers'][-1].markers]
                        == [Marker.DELETEALL])
        assert wait_for(lambda: not peer.received['hands'][-1].hands)
        assert peer.received['hands'][-1].header == last.header
    finally:
        assert peer.call(SetBool, 'hiu_node/enable', SetBool.Request(data=True)).success
    assert peer.ask(1).hands


def set_parameters(peer, **values):
    parameters = []
    for name, value in values.items():
        kind = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}[type(value)]
        parameters.append(Parameter(name=name, value=ParameterValue(
            type=getattr(ParameterType, f'PARAMETER_{kind.upper()}'), **{f'{kind}_value': value})))
    response = peer.call(SetParametersAtomically, 'hiu_node/set_parameters_atomically',
                         SetParametersAtomically.Request(parameters=parameters))
    return response.result


def test_parameters_change_together_or_not_at_all(node, peer, wait_for):
    publisher = peer.publisher('image', Image, wait=False)
    assert wait_for(lambda: publisher.get_subscription_count() == 0)
    for values, words in (
        ({'lazy': False, 'max_hands': 99}, 'max_hands'),
        ({'lazy': False, 'weights': 'x'}, 'weights'),
        ({'lazy': False, 'regions': 'moon'}, 'moon'),
        ({'lazy': False, 'max_hands': 7}, 'seven hands'),  # the engine refuses it
    ):
        result = set_parameters(peer, **values)
        assert not result.successful and words in result.reason
    assert publisher.get_subscription_count() == 0
    assert set_parameters(peer, lazy=False, max_hands=3).successful
    assert wait_for(lambda: publisher.get_subscription_count() == 1)
    assert set_parameters(peer, lazy=True).successful
    assert wait_for(lambda: publisher.get_subscription_count() == 0)


def test_hand_size_is_calibrated_at_a_known_distance(node, peer, wait_for):
    from hiu_ros.srv import CalibrateHandSize

    assert set_info(peer, wait_for, info(), used=True)
    for hands, distance, words in ((1, 0.66, ''), (2, 0.66, '2 hands'), (1, 9.0, '9.0')):
        assert peer.call(Trigger, 'hiu_node/reset_tracking', Trigger.Request()).success
        for _ in range(8):
            peer.ask(hands)
        request = CalibrateHandSize.Request(distance_m=distance, duration_s=20.0)
        response = peer.call(CalibrateHandSize, 'hiu_node/calibrate_hand_size', request)
        assert response.success is (not words) and words in response.message, response.message
        if not words:
            # The hand of the fake engine is 0.18 m long and was said to be at 0.6 m.
            assert response.hand_length_m == pytest.approx(0.1801 * distance / 0.6, rel=0.01)
        else:
            assert math.isnan(response.hand_length_m)


def test_regions_take_the_place_of_the_finder(node, peer):
    from sensor_msgs.msg import RegionOfInterest

    assert set_parameters(peer, regions='topic').successful
    assert len(peer.ask(3).hands) == 0
    untold = 'no region came: nobody publishes /regions'
    assert peer.status(lambda s: s.level > DiagnosticStatus.OK and untold in s.message)
    region = RegionOfInterest(x_offset=10, y_offset=20, width=50, height=60)
    for _ in range(20):
        peer.send(region, 'regions')
        if len(peer.ask(3).hands) == 1:
            break
    assert len(peer.ask(3).hands) == 1
    assert peer.status(lambda s: 'no region came' not in s.message)
    assert set_parameters(peer, regions='finder').successful
    assert len(peer.ask(3).hands) == 3


def test_the_image_topic_is_left_alone_while_nobody_reads(node, peer, wait_for):
    image, depth = (peer.publisher(topic, Image, wait=False) for topic in ('image', 'depth'))
    assert wait_for(lambda: image.get_subscription_count() == 0)
    assert wait_for(lambda: depth.get_subscription_count() == 0)
    assert peer.status(lambda s: 'nobody listens' in s.message and s.level == DiagnosticStatus.OK)
    peer.listen('hand_joint_states')
    assert wait_for(lambda: image.get_subscription_count() == 1)
    assert wait_for(lambda: depth.get_subscription_count() == 1)


def test_quality_of_service_that_does_not_fit_is_told_with_the_cure(node, peer):
    from hiu_ros.msg import HandKeypointsArray
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from hiu_ros.ros.topics import SubscriptionEventCallbacks

    peer.node.create_subscription(
        HandKeypointsArray, 'hands', lambda m: None,
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
    assert node.wait_log('qos_overrides./hands.publisher.durability')


def test_the_device_is_lost_and_the_node_goes_on_on_the_cpu(node, peer):
    assert len(peer.ask(1, order=254).hands) == 1
    assert node.wait_log('CUDA error: out of memory; going on on the CPU')
