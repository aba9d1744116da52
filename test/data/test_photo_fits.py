import numpy as np
import pytest
import torch

from hiu_ros.data.photo_fits import fit_hands, joint_axes, joint_limits, mirror_labels
from hiu_ros.data.photo_outlines import outline, trim, trim_fault
from hiu_ros.geometry.rotations import axis_angle_to_matrix


@pytest.fixture(scope='module')
def hands(paint):
    return [paint(seed, bend, turn=turn) for seed, bend, turn in
            [(0, 0.1, 0.0), (1, 0.4, 0.8), (2, 0.8, -1.5), (3, 0.6, 3.0)]]


@pytest.fixture(scope='module')
def fits(model, hands):
    return fit_hands(model, np.stack([hand.keypoints for hand in hands]),
                     np.stack([hand.keypoints_m for hand in hands]), 240)


def points(model, fits):
    with torch.no_grad():
        return model.keypoints(axis_angle_to_matrix(torch.as_tensor(fits.pose)),
                               torch.as_tensor(fits.shape)).numpy()


def test_exact_labels_are_fitted_exactly(model, hands, fits):
    assert fits.residual_px.max() < 0.02
    assert fits.bend_error.max() < 0.15
    found = points(model, fits)
    truth = np.stack([hand.keypoints_m for hand in hands])
    truth, found = truth - truth[:, :1], found - found[:, :1]
    assert np.linalg.norm(found - truth, axis=-1).mean() < 0.008


def test_camera_brings_the_hand_onto_the_labels(model, hands, fits):
    seen = points(model, fits)[..., :2] * fits.camera[:, None, :1] + fits.camera[:, None, 1:]
    pixels = (seen + 1) * 240 / 2 - 0.5
    truth = np.stack([hand.keypoints for hand in hands])
    assert np.linalg.norm(pixels - truth, axis=-1).mean() < 1.5


def test_joints_keep_their_limits(fits):
    assert fits.strain.max() < 0.1


def test_a_wrong_label_leaves_a_residual(model, hands):
    keypoints = np.stack([hand.keypoints for hand in hands])
    keypoints[:, 5:9] = keypoints[:, 17:21].copy()
    keypoints[:, 13:17] = keypoints[:, 1:5].copy()
    fits = fit_hands(model, keypoints, np.stack([hand.keypoints_m for hand in hands]), 240)
    assert fits.residual_px.min() > 0.05


def test_depth_that_is_not_to_be_believed_is_not_used(model, hands):
    keypoints = np.stack([hand.keypoints for hand in hands])
    wrong = np.stack([hand.keypoints_m for hand in hands]) * [1, 1, -1]
    fits = fit_hands(model, keypoints, wrong, 240, use_depth=np.zeros(len(hands), bool))
    assert fits.residual_px.max() < 0.03
    misled = fit_hands(model, keypoints, wrong, 240)
    assert (fits.residual_px < 0.6 * misled.residual_px).all()


def test_mirroring_twice_is_nothing(hands):
    keypoints = np.stack([hand.keypoints for hand in hands])
    metres = np.stack([hand.keypoints_m for hand in hands])
    left = np.array([True, False, True, False])
    once = mirror_labels(keypoints, metres, left, 240)
    np.testing.assert_array_equal(once[0][~left], keypoints[~left])
    np.testing.assert_allclose(once[0][left, :, 0], 239 - keypoints[left, :, 0])
    np.testing.assert_allclose(mirror_labels(*once, left, 240)[0], keypoints)
    np.testing.assert_allclose(mirror_labels(*once, left, 240)[1], metres)


def test_axes_are_orthonormal_and_bend_towards_the_palm(model):
    axes = joint_axes(model)
    eye = torch.eye(3).expand(15, 3, 3)
    torch.testing.assert_close(axes @ axes.transpose(1, 2), eye, atol=1e-5, rtol=0)
    bends = torch.zeros(15)
    bends[[0, 3, 6, 9]] = 1.0
    fingers = axis_angle_to_matrix(bends[:, None] * axes[:, 0])
    rotations = torch.cat([torch.eye(3)[None], fingers])[None]
    tips = model.keypoints(rotations, torch.zeros(1, 10))[0, [8, 12, 16, 20]]
    assert (tips[:, 1] < -0.03).all()
    lowest, highest = joint_limits()
    assert (lowest < highest).all()


def test_outline_of_a_left_hand_is_the_mirrored_one(model, hands):
    hand = hands[1]
    shape = np.zeros(10, np.float32)
    right, palm = outline(model, hand.pose, shape, hand.camera, False, 240)
    left, _ = outline(model, hand.pose, shape, hand.camera, True, 240)
    both = (right & left[:, ::-1]).sum() / (right | left[:, ::-1]).sum()
    assert both > 0.98
    assert palm == pytest.approx(0.097 * hand.camera[0] * 120, rel=0.02)


def test_trim_cuts_what_lies_far_from_the_outline():
    silhouette = np.zeros((100, 100), bool)
    silhouette[30:70, 30:70] = True
    mask = np.where(silhouette, 255, 0).astype(np.uint8)
    kept, removed, missing = trim(mask, silhouette, 50.0)
    np.testing.assert_array_equal(kept, mask)
    assert removed == 0 and missing == 0 and trim_fault(removed, missing) == ''
    spilled = mask.copy()
    spilled[30:70, 70:90] = 255
    kept, removed, missing = trim(spilled, silhouette, 50.0)
    assert removed > 0.2 and trim_fault(removed, missing) == 'removed'
    # REACH is 3 pixels here.
    assert kept[30:70, 70:73].all() and kept[:, 73:].max() == 0
    half = mask.copy()
    half[:, 50:] = 0
    _, removed, missing = trim(half, silhouette, 50.0)
    assert missing == 17 / 40 and trim_fault(removed, missing) == 'missing'
    assert trim(np.zeros_like(mask), silhouette, 50.0)[1:] == (1.0, 1.0)
