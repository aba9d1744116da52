from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.evaluation import renders
from hiu_ros.evaluation.kinds import kinds_of
from hiu_ros.evaluation.photos import joint_box
from hiu_ros.evaluation.sheet import Sheet
from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.perception.result import Hand

SIZE, COUNT = 40, 5


@pytest.fixture(scope='module')
def truth():
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.3, (COUNT, 16, 3)).astype(np.float32)
    shape = rng.normal(0, 1, (COUNT, 10)).astype(np.float32)
    with torch.no_grad():
        return pose, shape, HandModel(load_template('fast'))(
            axis_angle_to_matrix(torch.from_numpy(pose)), torch.from_numpy(shape))


@pytest.fixture
def bank(tmp_path, truth):
    pose, shape, geometry = truth
    rng = np.random.default_rng(1)
    bgra = rng.integers(0, 256, (COUNT, SIZE, SIZE, 4), dtype=np.uint8)
    mask = np.zeros((COUNT, SIZE, SIZE), np.uint8)
    for row in range(COUNT):
        mask[row, 5:20 + row, 3:18] = 255
    np.save(tmp_path / 'bgra.npy', bgra)
    np.save(tmp_path / 'mask.npy', mask)
    np.savez(tmp_path / 'labels.npz', pose=pose, shape=shape, K=np.tile(np.eye(3), (COUNT, 1, 1)),
             keypoints_px=rng.uniform(4, 36, (COUNT, 21, 2)),
             keypoints_m=geometry.keypoints.numpy() + [0, 0, 0.6],
             visibility=np.ones((COUNT, 21), bool))
    return RenderBank(tmp_path)


def answer(bank, truth, change=lambda points: points):
    """A predict that tells the truth of the tiles in order, changed; every second one mirrored."""
    done = []

    def predict(images, boxes):
        hands = []
        for image, box in zip(images, boxes):
            row = len(done)
            done.append(row)
            flip = np.array([-1.0 if row % 2 else 1.0, 1, 1])
            points, mask = bank.keypoints_px[row], bank.mask[row]
            if row % 2:
                points = np.stack([SIZE - 1 - points[:, 0], points[:, 1]], 1)
                mask = mask[:, ::-1]
            assert np.allclose(box, joint_box(points))
            assert image.shape == (SIZE, SIZE, 3)
            hands.append(Hand(
                str(row), 'left' if row % 2 else 'right', 1.0, 1.0, box, points, np.ones(21),
                np.ones(21, bool), change(truth[2].keypoints[row].numpy()) * flip,
                change(truth[2].vertices[row].numpy()) * flip, np.zeros(48), np.zeros(10),
                np.eye(3), mask))
        return hands

    return predict


def score(*arguments, **options):
    return renders.summarise(renders.evaluate(*arguments, **options, quiet=True))


def test_the_truth_scores_best_on_both_sides(bank, truth):
    figures = score(bank, answer(bank, truth), batch=2)
    assert figures['hands'] == COUNT
    assert figures['pa_mpjpe'] < 1e-3 and figures['pa_mpvpe'] < 1e-3
    assert figures['f5'] == figures['f15'] == figures['mask_iou'] == figures['side'] == 1
    assert figures['palm_mean'] < 1e-6 and figures['crop_pck'] == 1


def test_another_frame_and_scale_change_nothing_and_a_stretch_does(bank, truth):
    moved = score(bank, answer(bank, truth, lambda p: 3 * p[:, [1, 2, 0]] + 1))
    assert moved['pa_mpjpe'] < 1e-3 and moved['pa_mpvpe'] < 1e-3
    bent = score(bank, answer(bank, truth, lambda p: p * [1, 1, 2]))
    assert bent['pa_mpjpe'] > 3 and bent['pa_mpvpe'] > 3 and bent['f5'] < 1


def test_a_mesh_of_another_topology_is_carried_by_the_joints(bank, truth):
    def half(points):
        return 2 * (points[::2] if len(points) > 21 else points)

    figures = score(bank, answer(bank, truth, half))
    assert np.isnan(figures['pa_mpvpe']) and figures['pa_mpjpe'] < 1e-3
    assert figures['f15'] > 0.99


def test_errors_are_in_palms_in_pixels_of_the_crop_and_in_millimetres(bank, truth):
    bank.keypoints_px[:] = bank.keypoints_px[0]
    points = bank.keypoints_px[0]
    scores = renders.evaluate(bank, moved_by(answer(bank, truth), [3, -4]), quiet=True)
    size, palm = np.ptp(points, axis=0).max(), np.linalg.norm(points[9] - points[0])
    assert np.allclose(scores['crop_error'], 5 * 256 / (1.5 * size))
    assert np.allclose(scores['palm_mean'], 5 / palm)
    scores['palm_mean'] = np.array([1.0, 9, 1, 9, 2])
    assert renders.summarise(scores)['palm_median'] == 2
    # Every second vertex 4 mm off: half of them, as no similarity takes much of that back.
    bent = answer(bank, truth, lambda p: p + np.where(np.arange(len(p)) % 2, 0.008, 0)[:, None]
                  * [0, 0, 1])
    figures = score(bank, bent)
    assert 3.5 < figures['pa_mpvpe'] < 4.1 and 3.2 < figures['pa_mpjpe'] < 4.2


def moved_by(predict, step):
    """The same answers with all joints moved by so many pixels."""
    return lambda images, boxes: [replace(hand, keypoints_px=hand.keypoints_px + step)
                                  for hand in predict(images, boxes)]


def test_every_second_hand_is_shown_mirrored_and_of_the_same_kinds(bank, truth):
    images = []
    # The backs of the hands towards the camera and away from it.
    back = bank.keypoints_m[0] @ axis_angle_to_matrix(torch.tensor([-1.5, 0, 0])).numpy().T
    bank.keypoints_m[:] = np.array([[1, 1, 1]] * 3 + [[1, -1, -1]] * 2)[:, None] * back
    predict = answer(bank, truth)
    scores = renders.evaluate(
        bank, lambda shown, boxes: images.extend(shown) or predict(shown, boxes), seed=4,
        quiet=True)
    for row, image in enumerate(images):
        made, *_ = bank.compose(row, renders.backdrop(SIZE, np.random.default_rng([4, row])))
        assert np.array_equal(image, made[:, ::-1] if row % 2 else made)
        expected = kinds_of(bank.keypoints_px[row], bank.keypoints_m[row], 'right')
        assert scores['kinds'][row] - {'dark'} == expected
    assert len({'back' in kinds for kinds in scores['kinds'][1::2]}) == 2


def test_count_takes_the_first(bank, truth):
    assert score(bank, answer(bank, truth), 3)['hands'] == 3


def test_backdrops_are_the_same_for_a_seed_and_come_from_the_pictures():
    first, again = (renders.backdrop(32, np.random.default_rng(5)) for _ in range(2))
    assert (first == again).all() and first.std() > 5
    red = np.full((50, 70, 3), [0, 0, 255], np.uint8)
    assert (renders.backdrop(32, np.random.default_rng(5), [red]) == [0, 0, 255]).all()


def test_backdrops_are_squares_of_all_parts_of_a_picture():
    picture = np.zeros((120, 200, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(200), np.arange(120)[:, None]
    corners = []
    for seed in range(60):
        shown = renders.backdrop(400, np.random.default_rng(seed), [picture]).astype(float)
        left, top = shown[0, 0, :2]
        across, down = np.ptp(shown[..., 0]), np.ptp(shown[..., 1])
        assert 40 < across < 120 and down == pytest.approx(across, abs=2)
        corners.append([left, top, left + across, top + down])
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    assert (low[:2] < 10).all() and high[2] > 185 and high[3] > 110
    dot = np.full((1, 1, 3), 7, np.uint8)
    assert (renders.backdrop(8, np.random.default_rng(0), [dot]) == 7).all()


def test_patterns_use_all_values_and_have_large_parts_and_small_ones():
    for seed in range(5):
        pattern = renders.backdrop(96, np.random.default_rng(seed)).astype(float)
        assert pattern.min() == 0 and pattern.max() >= 254
        assert 70 < pattern.mean() < 190
        blurred = cv2.GaussianBlur(pattern, (0, 0), 12)
        assert 10 < blurred.std() and 10 < (pattern - blurred).std() < blurred.std()


def test_kinds_are_counted_apart(bank, truth):
    scores = renders.evaluate(bank, answer(bank, truth), quiet=True)
    scores['kinds'][:] = [frozenset(k) for k in (['fist'], [], ['fist', 'back'], [], ['back'])]
    scores['pa_mpjpe'] = np.arange(5.0)
    rows = {row['set']: row for row in renders.kind_rows(scores)}
    assert {name: row['hands'] for name, row in rows.items()} == {'fist': 2, 'back': 2}
    assert rows['fist']['pa_mpjpe'] == 1 and rows['back']['pa_mpjpe'] == 3


@pytest.mark.parametrize('count,columns', [(1, 1), (5, 1), (6, 2), (9, 2)])
def test_sheet_has_as_many_columns_as_there_are_answers_for(bank, truth, tmp_path, count, columns):
    sheet = Sheet(tmp_path / 'sheet.png', columns=2)
    for _ in range(count):
        renders.evaluate(bank, answer(bank, truth), 1, quiet=True, sheet=sheet)
    sheet.write()
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape == (3 * 176, columns * 160, 3)


def test_sheet_that_cannot_be_written_is_told_at_once(tmp_path):
    with pytest.raises(ValueError, match='sheet.txt is no name for a sheet'):
        Sheet(tmp_path / 'sheet.txt')
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='cannot write .*file/sheet.png'):
        Sheet(tmp_path / 'file' / 'sheet.png')


def test_sheet_shows_the_worst_last(bank, truth, tmp_path):
    sheet = Sheet(tmp_path / 'new' / 'sheet.png', columns=1)
    renders.evaluate(bank, answer(bank, truth), quiet=True, sheet=sheet)
    hand = answer(bank, truth)([np.zeros((SIZE, SIZE, 3), np.uint8)],
                               [joint_box(bank.keypoints_px[0])])[0]
    red = np.full((SIZE, SIZE, 3), [0, 0, 255], np.uint8)
    sheet.add(red, hand, bank.keypoints_px[0] + 300, 'left')
    sheet.write()
    picture = cv2.imread(str(tmp_path / 'new' / 'sheet.png'))
    assert picture.shape == (3 * 176, 160, 3)
    assert (picture[-5, -5] == [0, 0, 255]).all()
