"""Figures of a data set by the labels that each of its samples has."""

import numpy as np
import pytest

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.evaluation import labelled
from hiu_ros.perception.result import Hand

IMAGE = np.zeros((100, 100, 3), np.uint8)
PIXELS = np.random.default_rng(1).uniform(10, 90, (21, 2))
JOINTS = np.random.default_rng(0).uniform([-0.1, -0.1, 0.6], [0.1, 0.1, 0.8], (21, 3))
SIZE = np.ptp(PIXELS, axis=0).max()


def hand(pixels=PIXELS, joints=JOINTS, side='left', mask=None):
    return Hand('0', side, 1.0, 1.0, np.array([0, 0, 1, 1]), pixels, np.ones(21),
                np.ones(21, bool), joints, np.zeros((4, 3)), np.zeros(48), np.zeros(10), np.eye(3),
                np.zeros((1, 1), np.uint8) if mask is None else mask)


def score(samples, answers, **options):
    """Figures where the i-th sample that is looked at gets the i-th answer."""
    rest = iter(answers)
    return labelled.evaluate(samples, lambda images, boxes, cameras: [
        next(rest) for _ in images], quiet=True, **options)


def codes(**rows):
    """All joints visible but for those of a code by name: OUTSIDE=slice(3)."""
    result = np.full(21, Visibility.VISIBLE)
    for name, which in rows.items():
        result[which] = Visibility[name]
    return result


def test_any_labelled_data_set_is_scored_by_the_labels_it_has():
    mask = np.zeros((100, 100), np.uint8)
    mask[:50] = 255
    unlabelled = codes(UNLABELLED=slice(5))
    data = [
        Sample('2d', IMAGE, side='left', keypoints_px=PIXELS, visibility=unlabelled),
        Sample('3d', IMAGE, box=[0, 0, 90, 90], keypoints_m=JOINTS, mask=mask),
        Sample('nothing', IMAGE),
    ]
    half = mask.copy()
    half[25:] = 0

    def predict(images, boxes, cameras):
        assert np.allclose(boxes[1], [0, 0, 90, 90]) and len(boxes) == 2
        assert cameras == [None, None]
        return [hand(PIXELS + [3, 4], 2 * JOINTS, 'left', half)] * 2

    figures = labelled.evaluate(data, predict, quiet=True)
    side = np.ptp(PIXELS[5:], axis=0).max()
    assert np.isclose(figures['crop_error'], 5 * 256 / (1.5 * side), rtol=1e-4)
    assert figures['pa_mpjpe'] < 1e-3 < 10 < figures['root_mpjpe']
    assert figures['mask_iou'] == 0.5 and figures['side'] == 1 and figures['hands'] == 2


def test_2d_errors_are_of_the_joints_in_the_image_and_in_pixels_of_the_joints_box():
    scale = 256 / (1.5 * SIZE)
    off = PIXELS.copy()
    off[:3] += 50  # outside of the image
    off[3, 0] += 10.1 / scale
    off[4:6, 0] += 9.9 / scale
    sample = Sample('a', IMAGE, keypoints_px=PIXELS, visibility=codes(
        OUTSIDE=slice(3), OCCLUDED=slice(3, 9)))
    figures = score([sample], [hand(off)])
    assert figures['crop_error'] == pytest.approx((10.1 + 2 * 9.9) / 18, rel=1e-4)
    assert figures['crop_pck'] == pytest.approx(17 / 18)
    assert 'pa_mpjpe' not in figures and 'side' not in figures and 'mask_iou' not in figures


def test_hands_of_which_no_joint_is_in_the_image_have_no_2d_error():
    sample = Sample('a', IMAGE, 'left', keypoints_px=PIXELS,
                    visibility=codes(OUTSIDE=slice(None)))
    assert score([sample], [hand()]) == {'hands': 1, 'side': 1.0}


@pytest.mark.parametrize('points', [3, 2])
def test_the_box_is_of_three_joints_at_least_and_else_the_labelled_one(points):
    visibility = codes(UNLABELLED=slice(points, None))
    boxed = Sample('a', IMAGE, box=[1, 2, 3, 4], keypoints_px=PIXELS, visibility=visibility)
    bare = Sample('a', IMAGE, keypoints_px=PIXELS, visibility=visibility)
    if points == 3:
        assert np.allclose(labelled.box_of(boxed)[:2], PIXELS[:3].min(0))
    else:
        assert labelled.box_of(boxed).tolist() == [1, 2, 3, 4] and labelled.box_of(bare) is None


def test_joints_on_one_line_give_no_box_that_the_pipeline_would_refuse():
    line = PIXELS.copy()
    line[:3, 0] = 40
    visibility = codes(UNLABELLED=slice(3, None))
    boxed = Sample('a', IMAGE, box=[1, 2, 3, 4], keypoints_px=line, visibility=visibility)
    assert labelled.box_of(boxed).tolist() == [1, 2, 3, 4]
    assert labelled.box_of(Sample('a', IMAGE, keypoints_px=line, visibility=visibility)) is None


def test_3d_errors_are_means_over_samples_then_joints_and_leave_out_what_has_no_label():
    first = JOINTS.copy()
    first[1] += [0.03, 0, 0]
    valid = np.arange(21) != 1
    samples = [Sample('a', IMAGE, box=[0, 0, 90, 90], keypoints_m=JOINTS),
               Sample('b', IMAGE, box=[0, 0, 90, 90], keypoints_m=JOINTS, valid_m=valid)]
    figures = score(samples, [hand(joints=first + 1), hand(joints=first)], batch=1)
    # Only the first sample has a label of joint 1; that of the second does not halve its error.
    assert figures['root_mpjpe'] == pytest.approx(30 / 21, rel=1e-4)
    # Both samples have one joint of 21 wrong by 30 mm, of which the alignment takes a part.
    assert 1 < figures['pa_mpjpe'] < 3
    # Of errors from 20 to 50 mm: 30 mm lies within a third of the range.
    assert figures['root_auc'] == pytest.approx((20 + 2 / 3) / 21, abs=1e-3)


def test_without_a_wrist_there_is_no_error_of_joints_about_it():
    samples = [Sample('a', IMAGE, box=[0, 0, 9, 9], keypoints_m=JOINTS,
                      valid_m=np.arange(21) > 0)]
    figures = score(samples, [hand(joints=2 * JOINTS)])
    assert figures['pa_mpjpe'] < 1e-3 and 'root_mpjpe' not in figures
    # Any three points are aligned by a similarity of their own well enough to say nothing.
    few = Sample('a', IMAGE, box=[0, 0, 9, 9], keypoints_m=JOINTS, valid_m=np.arange(21) < 3)
    assert score([few], [hand()]) == {'hands': 1}


def test_the_chosen_samples_are_looked_at_in_batches():
    samples = [Sample(str(k), IMAGE, 'left' if k % 2 else 'right', box=[0, 0, 9, 9])
               for k in range(7)]
    sizes = []

    def predict(images, boxes, cameras):
        sizes.append(len(images))
        return [hand()] * len(images)

    figures = labelled.evaluate(samples, predict, [1, 3, 4, 5, 6], 2, quiet=True)
    assert sizes == [2, 2, 1] and figures == {'hands': 5, 'side': 3 / 5}
    samples[5] = Sample('no box', IMAGE, 'left')
    sizes.clear()
    figures = labelled.evaluate(samples, predict, [4, 5, 6], 1, quiet=True)
    assert sizes == [1, 1] and figures['hands'] == 2


def test_one_answer_too_few_is_no_score():
    samples = [Sample(name, IMAGE, keypoints_px=PIXELS, visibility=codes()) for name in 'ab']
    with pytest.raises(ValueError, match='shorter'):
        labelled.evaluate(samples, lambda images, boxes, cameras: [hand()], quiet=True)
