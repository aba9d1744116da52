import numpy as np
import pytest

from hiu_ros.data.photo_masks import LIKELY, capsules, hand_mask, mask_fault, palm_length


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize('turn', [0.0, 1.0, 2.6])
def test_finds_the_hand_and_leaves_the_forearm(paint, turn):
    hand = paint(3, turn=turn)
    found = hand_mask(hand.image, hand.keypoints)
    assert found.ok
    assert found.mask.shape == hand.image.shape[:2]
    assert set(np.unique(found.mask)) == {0, 255}
    assert overlap(found.mask > 0, hand.silhouette) > 0.9


def test_says_the_same_twice(paint):
    hand = paint(4)
    first = hand_mask(hand.image, hand.keypoints).mask
    np.testing.assert_array_equal(first, hand_mask(hand.image, hand.keypoints).mask)


def test_another_hand_is_kept_out(paint):
    hand, other = paint(5, scale=3.0), paint(6, scale=3.0)
    shift = 90
    image = hand.image.copy()
    moved = np.roll(other.silhouette, shift, axis=1)
    moved[:, :shift] = False
    image[moved] = np.roll(other.image, shift, axis=1)[moved]
    found = hand_mask(image, hand.keypoints, (other.keypoints + [shift, 0],))
    stolen = (found.mask > 0) & moved & ~hand.silhouette
    assert stolen.sum() < 0.05 * hand.silhouette.sum()


def test_a_hand_cut_by_the_border(paint):
    hand = paint(7)
    found = hand_mask(hand.image[:130], hand.keypoints)
    assert found.mask.shape == (130, 240)
    assert overlap(found.mask > 0, hand.silhouette[:130]) > 0.85


def test_a_wall_of_skin_is_not_believed(paint):
    hand = paint(8)
    image = np.random.default_rng(0).normal((120, 150, 205), 3, hand.image.shape)
    found = hand_mask(image.clip(0, 255).astype(np.uint8), hand.keypoints)
    assert overlap(found.mask > 0, hand.silhouette) < 0.9
    assert mask_fault(2.0, 0.5, 0.1, 1.0) == 'area'
    assert mask_fault(1.0, 0.9, 0.3, 1.0) == 'spill'
    assert mask_fault(1.0, 0.9, 0.0, 0.5) == 'cover'
    assert mask_fault(1.0, 0.3, 0.0, 0.9) == 'overlap'
    assert mask_fault(1.0, 0.9, 0.0, 0.9) == ''


def test_capsules_grow_and_turn_with_the_hand(paint):
    points = paint(9).keypoints
    thin, thick = capsules(points, (0.04, 0.0), 240), capsules(points, LIKELY, 240)
    assert thin.sum() < thick.sum() and thick[thin].all()
    rows, columns = np.round(points[[5, 9, 13, 17]]).astype(int).T[::-1]
    assert thick[rows, columns].all()
    assert palm_length(points + 30) == pytest.approx(palm_length(points))
    assert palm_length(points * 2) == pytest.approx(2 * palm_length(points))
