"""Seeded nonsense between good images: the node lives, and every good one is answered."""

import re

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from sensor_msgs.msg import CameraInfo  # noqa: E402

from hiu_ros.ros.quiet_log import LOG_PERIOD  # noqa: E402

SEED = 11
#: Rounds of so many mutated images and camera_infos and one good image each: 1000 and 300.
ROUNDS, IMAGES, INFOS = 100, 10, 3
SIZES = (0, 1, 3, 119, 161, 480, 65535, 2**32 - 1)
ENCODINGS = ('rgb8', 'yuv422', 'nv12', 'bayer_rggb16', '32FC1', 'mono16', '', 'jpeg', 'BGR8')
FIELDS = ('width', 'height', 'step', 'encoding', 'data', 'is_bigendian')


@pytest.fixture
def node(spawn):
    # Reliable, so that a good image without an answer is the node's fault and not DDS's.
    node = spawn(parameters={
        'lazy': False, 'qos_overrides./image.subscription.reliability': 'reliable'})
    assert node.wait_log('fake on fake')
    return node


def mutated_image(rng, image):
    """The image with one field changed, or its data cut."""
    field = rng.choice(FIELDS)
    value = {
        'encoding': str(rng.choice(ENCODINGS)),
        'data': image.data[: int(rng.integers(len(image.data)))],
        'is_bigendian': int(rng.integers(256)),
    }.get(field, int(rng.choice(SIZES)))
    setattr(image, field, value)
    return image


def mutated_info(rng):
    """A camera_info whose every field but the header is drawn."""
    k = np.array([125.0, 0, 80, 0, 125, 60, 0, 0, 1])
    k[rng.integers(9)] = rng.choice([np.nan, np.inf, -1.0, 0.0, 1e300, 125.0])
    message = CameraInfo(
        width=int(rng.choice([0, 1, 160, 2**32 - 1])), height=120, k=k,
        d=list(rng.choice([np.nan, 0.0, 1e9], int(rng.integers(15)))),
        distortion_model=str(rng.choice(['plumb_bob', 'rational_polynomial', '?'])),
        binning_x=int(rng.choice([0, 2, 2**32 - 1])),
    )
    message.roi.width = int(rng.choice([0, 1, 2**32 - 1]))
    return message


def test_every_good_image_between_mutated_ones_is_answered(node, peer):
    rng = np.random.default_rng(SEED)
    peer.ask(1)
    for round_ in range(ROUNDS):
        for _ in range(IMAGES):
            peer.send(mutated_image(rng, peer.image(int(rng.integers(3)))))
        for _ in range(INFOS):
            peer.send(mutated_info(rng), 'camera_info')
        good = peer.image(round_ % 3)
        peer.send(good)
        answer = peer.answer(good.header)
        assert answer is not None, (round_, node.log)
        assert len(answer.hands) == round_ % 3
    assert node.alive and 'Traceback' not in node.log, node.log
    # Not a line for every image, however slow the machine: faults come back after a while at most.
    last = {}
    for line in node.lines:
        stamp, text = re.match(r'\[\w+\] \[([0-9.]+)\] (.*)', line).groups()
        fault = re.sub(r"'[^']*'|[0-9.]+", '', text)
        if fault in last:
            assert float(stamp) - last[fault] > 0.9 * LOG_PERIOD, (line, node.log)
        last[fault] = float(stamp)
    assert len(last) < ROUNDS
