"""The real node with the real weights on rendered pictures whose truth is known."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.msg import HandKeypoints  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

from hiu_ros.data.renders.sequences import HandSequence  # noqa: E402
from hiu_ros.ros import messages  # noqa: E402

#: A sequence whose hand is in full view from the first frame to the last.
SEED, COUNT = 3, 8


@pytest.fixture(scope='module')
def frames():
    sequence = HandSequence(SEED, hands=1, width=320, height=240, frames=COUNT)
    return sequence, list(sequence)


def test_a_rendered_hand_is_found_and_placed(spawn, peer, wait_for, frames):
    sequence, pictures = frames
    node = spawn(module='hiu_ros.ros.node', parameters={'device': 'cpu', 'threads': 1})
    assert node.wait_log(' on cpu')
    info = CameraInfo(width=320, height=240, k=sequence.camera_matrix.ravel().tolist(),
                      d=[0.0] * 5, distortion_model='plumb_bob')
    peer.ask(0)

    def ask(picture):
        def asked():
            """The answer to one image; a busy machine may lose one."""
            header = peer.image().header
            peer.send(info, 'camera_info')
            peer.send(messages.image(header, picture.image, 'bgr8'))
            return peer.answer(header, timeout=30.0)

        answer = wait_for(asked)
        assert answer is not None, node.log
        return answer

    # Image and camera_info come on two topics: the first image may overtake the first of those.
    assert wait_for(lambda: any(hand.scale_source == HandKeypoints.CAMERA_INFO
                                for hand in ask(pictures[0]).hands)), node.log
    errors, places = [], []
    for picture in pictures:
        answer, truth = ask(picture), picture.hands[0]
        size = np.ptp(truth.keypoints_px, axis=0).max()
        found = []
        for hand in answer.hands:
            points = np.array(hand.image_points).reshape(21, 2)
            error = np.linalg.norm(points - truth.keypoints_px, axis=1).mean() / size
            found.append((error, hand.scale_source, hand.translation.z / truth.translation[2]))
        if found:
            error, source, place = min(found)
            assert source == HandKeypoints.CAMERA_INFO
            errors.append(error)
            places.append(place)
    assert len(errors) >= COUNT // 2
    assert np.median(errors) < 0.15, errors
    assert 0.7 < np.median(places) < 1.4, places
    assert 'Traceback' not in node.log
