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
    assert 0.9 < found.area < 1.1 and found.overlap > 0.85 and found.cover > 0.9
    assert 0.02 < found.spill < 0.1


def test_says_the_same_twice(paint):
    hand = paint(4)
    first = hand_mask(hand.image, hand.keypoints).mask
    np.testing.assert_array_equal(first, hand_mask(hand.image, hand.keypoints).mask)


def test_another_hand_behind_it_is_kept_out_where_its_joints_are_known(paint):
    hand, other = paint(5, scale=3.0), paint(6, scale=3.0, turn=3.1)
    image, behind = hand.image.copy(), np.roll(other.silhouette, (20, 20), (0, 1))
    behind &= ~hand.silhouette
    image[behind] = np.roll(other.image, (20, 20), (0, 1))[behind]
    apart, together = (hand_mask(image, hand.keypoints, others)
                       for others in ((other.keypoints + 20,), ()))
    stolen, wanted = (((found.mask > 0) & behind).sum() for found in (apart, together))
    assert apart.ok and stolen < 0.04 * hand.silhouette.sum()
    assert not together.ok and wanted > 0.1 * hand.silhouette.sum()


def test_a_hand_cut_by_the_border(paint):
    hand = paint(7)
    found = hand_mask(hand.image[:130], hand.keypoints)
    assert found.mask.shape == (130, 240)
    assert overlap(found.mask > 0, hand.silhouette[:130]) > 0.85


def test_before_a_wall_of_skin_the_mask_is_a_worse_one(paint):
    hand = paint(8)
    image = np.random.default_rng(0).normal((120, 150, 205), 3, hand.image.shape)
    found = hand_mask(image.clip(0, 255).astype(np.uint8), hand.keypoints)
    assert overlap(found.mask > 0, hand.silhouette) < 0.9
    assert found.overlap < 0.8 and found.cover < 0.85


def test_what_speaks_against_a_mask_is_named():
    assert mask_fault(0.5, 0.5, 0.1, 0.5) == 'area'
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


@pytest.mark.parametrize('seen', [(0.25, 1.0), (1.0, 0.25)], ids=['nodding', 'edge-on'])
def test_the_palm_of_a_foreshortened_hand_keeps_its_length(paint, seen):
    points = paint(9).keypoints
    along = (points[9] - points[0]) / np.linalg.norm(points[9] - points[0])
    axes = np.stack([along, [-along[1], along[0]]])
    shortened = points @ axes.T * seen @ axes
    front = palm_length(points)
    assert front == pytest.approx(np.linalg.norm(points[9] - points[0]), rel=0.15)
    assert palm_length(shortened) == pytest.approx(front, rel=0.25)
