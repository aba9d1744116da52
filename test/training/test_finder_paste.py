"""What is laid over the finder's frames: hands of the side they show, and none left beneath."""

import numpy as np
import pytest

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.training import finder_paste
from hiu_ros.training.finder_paste import Renders, add_arm, add_patch, hide
from hiu_ros.training.finder_targets import Frame

POINTS = np.stack([np.linspace(10, 50, 21), np.linspace(12, 40, 21)], axis=1)


def covered(frame: Frame) -> bool:
    """Whether the frame's one labelled hand is taken for a hidden one."""
    return not any(points is POINTS for points in frame.points) and not frame.doubts


@pytest.fixture
def frame() -> Frame:
    return Frame(np.full((64, 64, 3), 60, np.uint8), [POINTS], [True])


def test_a_mirrored_render_is_a_left_hand_with_its_joints_mirrored(bank):
    tiles = RenderBank(bank)
    rows = {tile.tobytes(): row for row, tile in enumerate(np.asarray(tiles.bgra))}
    sides = []
    for k in range(20):
        tile, joints, right = Renders([bank]).draw(np.random.default_rng(k))
        own = tile if right else tile[:, ::-1]
        row = rows[np.ascontiguousarray(own).tobytes()]
        wanted = tiles.keypoints_px[row].copy()
        if not right:
            wanted[:, 0] = tile.shape[1] - 1 - wanted[:, 0]
        np.testing.assert_allclose(joints, wanted, atol=1e-4)
        sides.append(right)
    assert 4 < sum(sides) < 16


def test_what_renders_arms_and_patches_cover_is_asked_for_no_more(bank, frame, monkeypatch):
    everywhere = np.full((64, 64), 255, np.uint8)
    monkeypatch.setattr(finder_paste, 'lay', lambda *_: (everywhere, 0, 0))
    monkeypatch.setattr(finder_paste, 'bare_arm', lambda shape, *_: (
        np.zeros((*shape, 3), np.uint8), np.ones((*shape, 1), np.float32)))
    rng = np.random.default_rng(0)
    for over in (lambda one: Renders([bank]).add(one, rng, 1.0), lambda one: add_arm(one, rng),
                 lambda one: add_patch(one, np.zeros((32, 32, 3), np.uint8), rng)):
        one = Frame(frame.image.copy(), [POINTS], [True])
        over(one)
        assert covered(one) and len(one.points) == len(one.right)
    Renders([bank]).add(frame, rng, 1.0)
    assert len(frame.points) == 1


def test_the_side_of_a_hidden_hand_goes_with_it(frame):
    frame.points, frame.right = [POINTS, POINTS + 1000, POINTS + 2000], [True, False, False]
    hide(frame, (np.full((64, 64), 255, np.uint8), 0, 0))
    assert frame.right == [False, False] and frame.points[0][0, 0] == 1010
    frame.points, frame.right = [POINTS + 1000, POINTS, POINTS + 2000], [True, False, True]
    hide(frame, (np.full((64, 64), 255, np.uint8), 0, 0))
    assert frame.right == [True, True]
