"""Following with the truth in place of the networks: what is wrong then is the tracker's fault."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.data.renders.sequences import HandTruth
from hiu_ros.evaluation.following import FollowingScores
from hiu_ros.evaluation.oracle import Faults, Oracle
from hiu_ros.evaluation.tracking import as_seen
from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.options import PipelineOptions

CAMERA = Camera(600.0, 600.0, 319.5, 239.5, 640, 480)
VIDEO = SimpleNamespace(width=640, height=480)
OPTIONS = PipelineOptions(device='cpu', fit_pose=False, fit_outline=False)
IMAGE = np.zeros((480, 640, 3), np.uint8)


def open_hand(middle, size):
    points = [(0.0, 0.5)]
    for spread in (-0.45, -0.2, 0.0, 0.18, 0.35):
        points += [(spread * (0.5 + 0.2 * k), 0.15 - 0.2 * k) for k in range(4)]
    return np.array(points) * size + middle


def truth(number, side, middle, size):
    points = open_hand(np.array(middle), size)
    mask = np.zeros((480, 640), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 255)
    return HandTruth(number, side, points, np.zeros((21, 3)), np.zeros(3), np.zeros(48),
                     np.zeros(10), mask, 1.0)


def crossing(frames=90, hands=4):
    """Frames of hands that cross in pairs, those behind hidden while they do."""
    for k in range(frames):
        turn = 2 * np.pi * k / frames
        places = [(320 + 190 * np.cos(turn), 190), (320 - 190 * np.cos(turn), 215),
                  (320 - 200 * np.cos(turn + 1), 330), (320 + 200 * np.cos(turn + 1), 350)]
        all_hands = [truth(n, 'right' if n % 2 else 'left', places[n], 120 + 20 * n)
                     for n in range(hands)]
        seen = []
        for n, hand in enumerate(all_hands):
            # Later ones are in front.
            left = hand.mask.copy()
            for front in all_hands[n + 1:]:
                left[front.mask > 0] = 0
            seen.append(HandTruth(**{**vars(hand), 'mask': left,
                                     'visible': float((left > 0).sum() / (hand.mask > 0).sum())}))
        yield SimpleNamespace(image=IMAGE, time=k / 30, hands=seen)


def score(faults, hands, seed=0):
    oracle = Oracle(CAMERA, faults, seed=seed)
    pipeline, scores = oracle.pipeline(OPTIONS), FollowingScores()
    for frame in crossing(hands=hands):
        oracle.show(frame)
        scores.add(*as_seen(frame, pipeline.process(frame.image, CAMERA, frame.time), 'v', VIDEO))
    return scores.row()


@pytest.mark.parametrize('hands', [1, 2, 4])
def test_with_good_networks_following_reaches_its_bars(hands):
    row = score(Faults(), hands)
    assert row['switches'] == 0 and row['side'] == 1.0
    assert row['false'] <= 0.005 and row['recall'] >= 0.97


def test_names_outlast_misses_and_confusions():
    row = score(Faults(missed=0.1, unseen=0.3, wrong_side=0.04, other_hand=0.2), 2)
    assert row['switches'] == 0 and row['side'] == 1.0
    assert row['false'] <= 0.01 and row['recall'] >= 0.75


def test_an_oracle_without_faults_sees_what_is_there():
    frame = next(crossing(hands=1))
    oracle = Oracle(CAMERA, Faults(joints=0.0))
    oracle.show(frame)
    hands = oracle.pipeline(PipelineOptions(device='cpu', tracking=None)).process(IMAGE, CAMERA)
    assert len(hands) == 1
    assert np.allclose(hands.hands[0].keypoints_px, frame.hands[0].keypoints_px, atol=0.01)
