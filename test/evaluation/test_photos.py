import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.photos import PhotoFolder
from hiu_ros.evaluation import photos
from hiu_ros.evaluation.tables import table
from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.result import Hand

SIZE = 80


def hand(keypoints_px, keypoints_m, side='right', mask=None, origin=(0, 0)):
    return Hand(
        '0', side, 0.9, 0.8, photos.joint_box(keypoints_px), keypoints_px, np.ones(21),
        np.ones(21, bool), keypoints_m, np.zeros((4, 3)), np.zeros(48), np.zeros(10), np.eye(3),
        np.full((SIZE, SIZE), 255, np.uint8) if mask is None else mask, origin,
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for index in range(5):
        name = f'{index}.png'
        cv2.imwrite(str(tmp_path / name), np.full((SIZE, SIZE, 3), index, np.uint8))
        hands = [
            {
                'side': side, 'side_score': 1.0,
                'keypoints_px': rng.uniform(10, 60, (21, 2)).tolist(),
                'keypoints_m': rng.normal(0, 0.05, (21, 3)).tolist(),
            }
            for side in ('left', 'right')[: 1 + index % 2]
        ]
        lines.append({
            'set': 'phone_above' if index < 2 else 'home', 'file': name, 'width': SIZE,
            'height': SIZE, 'split': 'val', 'licence': 'none', 'hands': hands,
        })
    (tmp_path / 'labels.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return PhotoFolder(tmp_path)


def answer_with(folder, change):
    """A predict that knows the label of each box and answers change(label)."""
    by_box = {
        (photo.file, *photos.joint_box(label.keypoints_px)): label
        for photo in folder for label in photo.hands
    }

    def predict(images, boxes):
        keys = [(f'{image[0, 0, 0]}.png', *box) for image, box in zip(images, boxes)]
        return [change(by_box[key]) for key in keys]

    return predict


def test_the_labels_themselves_score_best(folder):
    predict = answer_with(folder, lambda h: hand(h.keypoints_px, h.keypoints_m, h.side))
    scores = photos.evaluate(folder, folder.select(), predict, batch=3, quiet=True)
    assert len(scores) == 7
    row = photos.summarise(scores)
    assert row['palm_mean'] < 1e-6 and row['crop_error'] < 1e-3
    assert row['pa_mpjpe'] < 1e-3 and row['crop_pck'] == 1 and row['side'] == 1
    assert np.isnan(row['mask_iou']) and row['masks'] == 0


def test_2d_errors_are_in_palms_and_in_pixels_of_the_crop(folder):
    label = folder.photos[0].hands[0]
    moved = hand(label.keypoints_px + [3, 4], label.keypoints_m)
    score = photos.score_hand(folder.photos[0], 0, moved)
    palm = np.linalg.norm(label.keypoints_px[9] - label.keypoints_px[0])
    side = np.ptp(label.keypoints_px, axis=0).max()
    assert np.isclose(score.palm_error, 5 / palm, rtol=1e-4)
    assert np.isclose(score.crop_error, 5 * 256 / (1.5 * side), rtol=1e-4)
    assert score.crop_pck == (5 * 256 / (1.5 * side) <= 10)
    assert not score.side_right


def test_a_scaled_and_turned_hand_scores_the_same_in_3d(folder):
    label = folder.photos[0].hands[0]
    rng = np.random.default_rng(1)
    noisy = label.keypoints_m + rng.normal(0, 0.01, (21, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    first = photos.score_hand(folder.photos[0], 0, hand(label.keypoints_px, noisy))
    second = photos.score_hand(
        folder.photos[0], 0, hand(label.keypoints_px, 2 * noisy @ turn.T + 1))
    assert first.pa_mpjpe > 5
    assert np.isclose(first.pa_mpjpe, second.pa_mpjpe, rtol=1e-3)


def test_masks_are_compared_in_the_truths_crop_wherever_the_predicted_region_lies(folder):
    photo = folder.photos[0]
    label = photo.hands[0]
    crop = Crop((39.5, 39.5), 40, resolution=40)
    truth = np.zeros((SIZE, SIZE), np.uint8)
    truth[30:50, 30:50] = 255
    inside = hand(label.keypoints_px, label.keypoints_m,
                  mask=np.full((20, 10), 255, np.uint8), origin=(30, 30))
    score = photos.score_hand(photo, 0, inside, (crop, crop.extract(truth)))
    assert np.isclose(score.mask_iou, 0.5)


def test_group_rows_are_means_of_the_sets_figures(folder):
    def change(label):
        palm = np.linalg.norm(label.keypoints_px[9] - label.keypoints_px[0])
        return hand(label.keypoints_px + [palm * len(seen), 0], label.keypoints_m)

    seen = []
    predict = answer_with(folder, lambda label: (seen.append(1), change(label))[1])
    scores = photos.evaluate(folder, folder.select(), predict, quiet=True)
    rows = {row['set']: row for row in photos.summary_rows(scores)}
    assert list(rows) == ['phone_above', 'home', 'UNSEEN (mean of sets)', 'seen (mean of sets)']
    assert np.isclose(rows['phone_above']['palm_median'], 2, rtol=1e-4)  # of 1, 2, 3
    assert np.isclose(rows['home']['palm_mean'], 5.5, rtol=1e-4)  # of 4, 5, 6, 7
    assert rows['UNSEEN (mean of sets)']['palm_median'] == rows['phone_above']['palm_median']
    rows = {row['set']: row for row in photos.summary_rows(scores, unseen=('home', 'phone_above'))}
    assert np.isclose(rows['UNSEEN (mean of sets)']['palm_mean'], (2 + 5.5) / 2, rtol=1e-4)
    assert rows['UNSEEN (mean of sets)']['hands'] == 7
    assert 'seen (mean of sets)' not in rows


def made(palm, iou=float('nan'), kinds=(), **changes):
    """A hand's score of these errors, the rest of them in proportion."""
    return photos.HandScore(**{
        'set': 'home', 'file': 'a', 'number': 0, 'side': 'left', 'palm_error': palm,
        'crop_error': 10 * palm, 'crop_pck': palm / 10, 'pa_mpjpe': 3 * palm, 'mask_iou': iou,
        'side_right': palm > 2, 'score': 1.0, 'kinds': frozenset(kinds), **changes})


def test_figures_are_means_and_medians_over_hands_and_masks_over_those_that_have_one():
    row = photos.summarise([made(1, 0.9), made(2), made(3, 0.2), made(8, 0.7)])
    assert (row['hands'], row['masks']) == (4, 3)
    assert (row['palm_median'], row['palm_mean'], row['crop_error']) == (2.5, 3.5, 35)
    assert (row['crop_pck'], row['pa_mpjpe']) == pytest.approx((0.35, 10.5))
    assert (row['mask_iou'], row['mask_iou_median'], row['side']) == pytest.approx((0.6, 0.7, 0.5))
    assert photos.summarise([]) == {'hands': 0}


def test_sets_without_masks_do_not_count_in_the_mean_of_masks():
    sets = [made(1, 0.9, set='a'), made(1, set='b'), made(1, 0.5, set='c'), made(1, 0.7, set='c')]
    for scores, iou, masks in ((sets, 0.75, 3), (sets[1:2], float('nan'), 0)):
        row = photos.summary_rows(scores)[-1]
        assert row['set'] == 'seen (mean of sets)' and row['hands'] == len(scores)
        assert row['mask_iou'] == pytest.approx(iou, nan_ok=True) and row['masks'] == masks
        assert row['palm_mean'] == 1


def test_rows_of_kinds_hold_the_hands_of_each():
    rows = photos.kind_rows([made(1, kinds=('back', 'open')), made(5, kinds=('back',)), made(9)])
    assert [(row['set'], row['hands'], row['palm_mean']) for row in rows] == [
        ('open', 1, 1), ('back', 2, 3)]


def test_3d_errors_are_means_over_joints_in_millimetres(folder):
    label = folder.photos[0].hands[0]
    # A mirror image is aligned, too; noise of 1 cm along one axis in turn is not.
    noisy = label.keypoints_m + np.where(np.arange(21) % 2, 0.01, -0.01)[:, None] * [0, 0, 1]
    score = photos.score_hand(folder.photos[0], 0, hand(label.keypoints_px, noisy))
    assert 8 < score.pa_mpjpe < 10


def test_hands_are_read_in_batches_and_the_true_mask_of_each_is_asked_for(folder):
    asked, sizes = [], []
    predict = answer_with(folder, lambda h: hand(h.keypoints_px, h.keypoints_m, h.side))

    def counted(images, boxes):
        sizes.append(len(images))
        return predict(images, boxes)

    def truth(photo, number, image):
        asked.append((photo.file, number, image[0, 0, 0]))
        whole = Crop((39.5, 39.5), SIZE, resolution=SIZE)
        return (whole, np.full((SIZE, SIZE), 255, np.uint8)) if number == 0 else None

    scores = photos.evaluate(folder, folder.select(), counted, truth, batch=3, quiet=True)
    assert sizes == [3, 3, 1]
    assert asked == [(s.file, s.number, int(s.file[0])) for s in scores] and len(asked) == 7
    assert [s.mask_iou == 1 for s in scores] == [s.number == 0 for s in scores]
    # The photos are black, which shows where their mask is known.
    assert ['dark' in s.kinds for s in scores] == [s.number == 0 for s in scores]


def test_keep_chooses_hands_and_images_without_any_are_not_read(folder):
    (folder.path / '0.png').unlink()
    predict = answer_with(folder, lambda h: hand(h.keypoints_px, h.keypoints_m, h.side))
    scores = photos.evaluate(
        folder, folder.select(), predict, keep=lambda p, n, h: h.side == 'right', quiet=True)
    assert [(s.file, s.number) for s in scores] == [('1.png', 1), ('3.png', 1)]


def test_a_predictor_that_loses_a_hand_is_told(folder):
    with pytest.raises(ValueError, match='0 hands for 7 boxes'):
        photos.evaluate(folder, folder.select(), lambda images, boxes: [], quiet=True)


def test_tables_align_and_leave_gaps():
    text = table(
        [{'a': 'x', 'b': 1.25}, {'a': 'long', 'b': float('nan')}],
        {'a': ('name', ''), 'b': ('figure', '.1f'), 'c': ('none', '.1f')},
    )
    assert text.splitlines()[2:] == ['x        1.2     -', 'long       -     -']
