from dataclasses import replace

import cv2
import numpy as np
import pytest

from hiu_ros.evaluation.metrics import mask_iou
from hiu_ros.hand.skeleton import BONES, FINGERS
from hiu_ros.perception.drawing import (
    FINGER_COLOURS,
    SIDE_COLOURS,
    WRIST_COLOUR,
    _light,
    _mesh,
    draw,
)
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hand, Hands


@pytest.fixture
def scene(make_stage):
    stage = make_stage()
    run = Pipeline(PipelineOptions(tracking=None, device='cpu'), network=stage, finder=stage)
    image = stage.image([stage.hand('right', (0.1, 0, 0.6)),
                         stage.hand('left', (-0.4, -0.25, 0.7))])
    return stage, run, image, run.process(image, stage.camera)


def test_hands_are_drawn_on_a_copy_and_only_where_they_are(scene):
    _, _, image, hands = scene
    before = image.copy()
    shown = draw(image, hands, labels=False)
    assert np.array_equal(image, before)
    changed = np.argwhere((shown != image).any(axis=2))[:, ::-1]
    low, high = (np.array([h.box[:2] for h in hands]).min(0) - 12,
                 np.array([h.box[:2] + h.box[2:] for h in hands]).max(0) + 12)
    assert len(changed) > 1000
    assert (changed >= low).all() and (changed <= high).all()
    tip = np.rint(next(h for h in hands if h.side == 'right').keypoints_px[8]).astype(int)
    assert (shown[tip[1], tip[0]] != image[tip[1], tip[0]]).any()


def test_mesh_is_drawn_with_and_without_a_camera(scene):
    stage, run, image, hands = scene
    plain = draw(image, hands)
    right = next(hand for hand in hands if hand.side == 'right')
    for camera, least in ((stage.camera, 0.9), (None, 0.75)):
        meshed = draw(image, hands, camera, run.faces)
        assert (meshed != plain).any(axis=2).sum() > 500
        # It covers what is seen of the hand.
        bare = image.copy()
        _mesh(bare, right, camera, run.faces['right'])
        seen = full_mask(right.mask, right.mask_origin, 640, 480)
        assert mask_iou(seen, (bare != image).any(axis=2)) > least


def test_hands_reaching_out_of_small_images_can_be_drawn(scene):
    _, _, image, hands = scene
    small = Hands(40, 30, hands.hands)
    assert draw(np.zeros((30, 40, 3), np.uint8), Hands(40, 30)).shape == (30, 40, 3)
    for hand in small:
        assert hand.box[2] > 0
    with pytest.raises(ValueError, match='40 x 30'):
        draw(image, small)


@pytest.mark.parametrize('image, says', [
    (np.zeros((6, 8), np.uint8), r'\(H, W, 3\) uint8 BGR, got \(6, 8\) uint8'),
    (np.zeros((6, 8, 3)), 'got .* float64'),
    (np.zeros((8, 6, 3), np.uint8), '6 x 8 but .* 8 x 6')])
def test_images_of_another_kind_or_size_are_refused(image, says):
    with pytest.raises(ValueError, match=says):
        draw(image, Hands(8, 6))


def hand(points, name='left_1', mask=None, origin=(0, 0), place=None, valid=True):
    """A hand of joints (21, 2) px, its mask empty if not given."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Hand(name, name.split('_')[0], 1.0, 0.87, np.array([*low, *(high - low)]), points,
                np.ones(21), np.full(21, valid), np.zeros((21, 3)), np.zeros((3, 3)), np.zeros(48),
                np.zeros(10), np.eye(3), np.zeros((1, 1)) if mask is None else mask, origin, place)


def fan(x=100, y=60):
    """Joints well apart, the wrist at the bottom."""
    points = np.array([[x, y + 120], *([x + 45 * (k // 4 - 2), y + 90 - 30 * (k % 4)]
                                       for k in range(20))], dtype=float)
    return points


def drawn(*hands, width=300, height=240, **options):
    return draw(np.full((height, width, 3), 120, np.uint8), Hands(width, height, hands), **options)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_the_mask_alone_is_tinted_in_the_colour_of_the_side(side):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:50] = 255
    far = np.full((21, 2), 280.0)
    picture = drawn(hand(far, f'{side}_1', mask, (20, 100)), labels=False).astype(int)
    inner = picture[115:125, 40:60].reshape(-1, 3)
    assert np.abs(inner - (0.72 * 120 + 0.28 * np.array(SIDE_COLOURS[side]))).max() <= 1
    # The mask's first pixel inside is x = 30, y = 110.
    changed = np.argwhere((picture[:200] != 120).any(axis=2))
    assert np.abs(changed.min(axis=0) - [110, 30]).max() <= 1
    assert np.abs(changed.max(axis=0) - [129, 69]).max() <= 1
    edge = picture[109:112, 50]
    assert (np.abs(edge - SIDE_COLOURS[side]).sum(axis=1) < 60).any()


def test_bones_and_joints_have_the_colours_of_their_fingers():
    points = fan()
    picture = drawn(hand(points), labels=False)

    def colour(place):
        x, y = np.rint(place).astype(int)
        return tuple(map(int, picture[y, x]))

    assert colour(points[0]) == WRIST_COLOUR
    for joint in range(1, 21):
        assert colour(points[joint]) == FINGER_COLOURS[FINGERS[(joint - 1) // 4]]
    for bone, (child, parent) in enumerate(BONES):
        middle = (points[child] + points[parent]) / 2
        assert colour(middle) == FINGER_COLOURS[FINGERS[bone // 4]]
    # A dark rim sets a bone off from what is beside it.
    x, y = np.rint((points[5] + points[6]) / 2).astype(int)
    assert picture[y, x - 8:x + 9].max(axis=1).min() < 100
    hollow = drawn(hand(points, valid=False), labels=False)
    for x, y in points.astype(int):
        ring = hollow[y - 6:y + 7, x - 6:x + 7].reshape(-1, 3).astype(int)
        assert hollow[y, x].max() < 40 < ring.max()


def test_hands_of_large_photographs_are_drawn_as_clearly_as_those_of_small_images():
    def shares(times):
        """Of an image in which all is so many times as large: changed by bones and by labels."""
        size = {'width': 900 * times, 'height': 900 * times}
        one = hand(times * (2 * fan(300, 220)))
        bones, all_of_it = drawn(one, labels=False, **size), drawn(one, **size)
        return (bones != 120).any(axis=2).mean(), (bones != all_of_it).any(axis=2).mean()

    for small, large in zip(shares(1), shares(4)):
        assert 0.7 * small < large < 1.3 * small


def test_a_near_hand_is_drawn_over_a_far_one_and_one_without_a_place_over_both():
    thumb, index, ring = fan(), fan(), fan()
    index[8], ring[16] = thumb[4], thumb[4]
    far = hand(index, 'left_1', place=np.array([0, 0, 0.9]))
    near = hand(thumb, 'left_2', place=np.array([0, 0, 0.5]))
    bare = hand(ring, 'left_3')
    x, y = thumb[4].astype(int)
    for order, top in (((far, near), 'thumb'), ((near, far), 'thumb'), ((bare, near), 'ring'),
                       ((near, bare, far), 'ring')):
        assert tuple(drawn(*order, labels=False)[y, x]) == FINGER_COLOURS[top]


@pytest.mark.parametrize('x, y', [(100, 60), (370, 60), (100, -20), (-60, 200), (370, 400)])
def test_a_label_is_a_dark_plate_above_the_hand_and_all_within_the_image(x, y):
    one = hand(fan(x, y))
    with_label, plain = drawn(one), drawn(one, labels=False)
    rows, columns = np.nonzero((with_label != plain).any(axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 10 < height < 40
    text = cv2.getTextSize('left_1  87%', cv2.FONT_HERSHEY_SIMPLEX, 0.34, 1)[0][0]
    assert text <= width <= text + 12
    left = min(max(one.box[0], 0), 300 - width)
    bottom = min(max(one.box[1] - 3, height), 240)
    assert abs(columns.min() - left) <= 1 and abs(rows.max() + 1 - bottom) <= 1
    plate = with_label[rows.min():rows.max(), columns.min():columns.max()]
    assert np.median(plate) < 60 and plate.max() > 180
    assert tuple(with_label[rows.max(), columns.min() + 3]) == SIDE_COLOURS['left']


@pytest.mark.parametrize('y', [-20, 60, 400])
def test_labels_of_hands_close_together_are_all_to_be_read(y):
    def plates(*ids):
        each = [drawn(hand(fan(150 + 20 * k, y), name)) for k, name in enumerate(ids)]
        plain = [drawn(hand(fan(150 + 20 * k, y), name), labels=False)
                 for k, name in enumerate(ids)]
        return sum((one != bare).any(axis=2).sum() for one, bare in zip(each, plain))

    ids = ('left_1', 'right_2', 'left_3')
    hands = [hand(fan(150 + 20 * k, y), name) for k, name in enumerate(ids)]
    together = (drawn(*hands) != drawn(*hands, labels=False)).any(axis=2).sum()
    assert together > 0.97 * plates(*ids)


def test_the_label_tells_name_score_and_the_distance_where_it_is_known():
    def wide(one):
        return np.ptp(np.nonzero((drawn(one) != drawn(one, labels=False)).any(axis=2))[1])

    one = hand(fan())
    assert wide(replace(one, translation_m=np.array([0.3, 0, 0.4]))) > 1.3 * wide(one)
    assert wide(replace(one, id='left_123456')) > wide(one)
    assert (drawn(one) != drawn(replace(one, score=0.31))).any()
    # It is the distance from the camera, not the depth.
    aside, ahead = (drawn(replace(one, translation_m=np.array(place)))
                    for place in ([0.3, 0, 0.4], [0, 0, 0.5]))
    assert np.array_equal(aside, ahead)


@pytest.mark.parametrize('width, left_out', [(75, 'distance'), (45, 'score')])
def test_a_label_too_wide_for_the_image_leaves_the_end_out_and_is_not_cut(width, left_out):
    one = replace(hand(fan(20, 40)), translation_m=np.array([0, 0, 0.5]))
    other = replace(one, **({'score': 0.31} if left_out == 'score' else {'translation_m': None}))
    assert np.array_equal(drawn(one, width=width), drawn(other, width=width))
    changed = np.nonzero((drawn(one, width=width) != drawn(one, width=width, labels=False))
                         .any(axis=(0, 2)))[0]
    assert np.ptp(changed) + 1 < width
    assert not np.array_equal(drawn(one), drawn(other))


def test_surfaces_are_the_brighter_the_more_they_face_the_camera():
    corners = np.array([[0.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    for turn, bright in ((0, 1.0), (60, 0.65), (90, 0.3), (180, 0.3)):
        angle = np.radians(turn)
        turned = corners @ np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
                                     [-np.sin(angle), 0, np.cos(angle)]])
        assert _light(turned, np.array([[0, 1, 2]])) == pytest.approx([bright] * 3, abs=1e-6)
