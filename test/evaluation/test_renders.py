import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.evaluation import renders
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


def test_count_takes_the_first(bank, truth):
    assert score(bank, answer(bank, truth), 3)['hands'] == 3


def test_backdrops_are_the_same_for_a_seed_and_come_from_the_pictures():
    first, again = (renders.backdrop(32, np.random.default_rng(5)) for _ in range(2))
    assert (first == again).all() and first.std() > 5
    red = np.full((50, 70, 3), [0, 0, 255], np.uint8)
    assert (renders.backdrop(32, np.random.default_rng(5), [red]) == [0, 0, 255]).all()


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
