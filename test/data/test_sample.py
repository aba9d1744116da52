import numpy as np
import pytest

from hiu_ros.data.sample import Sample, SampleError, Visibility

IMAGE = np.zeros((8, 10, 3), np.uint8)


def test_labels_name_what_there_is():
    assert Sample('a', IMAGE).labels == frozenset()
    full = Sample(
        'a', IMAGE, side='left', camera=np.eye(3), box=[0, 0, 2, 3], keypoints_px=np.ones((21, 2)),
        keypoints_m=np.ones((21, 3)), mask=IMAGE[..., 0], pose=np.zeros(48), shape=np.zeros(10),
        vertices_m=np.zeros((5, 3)), model='mano',
    )
    assert full.labels == {'side', 'camera', 'box', 'keypoints_px', 'keypoints_m', 'mask', 'pose',
                           'shape', 'vertices_m'}
    assert (full.visibility == Visibility.VISIBLE).all() and full.valid_m.all()


@pytest.mark.parametrize('field,value,says', [
    ('side', 'LEFT', "'LEFT'"),
    ('camera', np.eye(4), r'camera has shape \(4, 4\)'),
    ('box', [0, 0, 0, 3], 'has no area'),
    ('box', [0, 0, 3, 0], 'has no area'),
    ('keypoints_px', np.zeros((20, 2)), r'keypoints_px has shape \(20, 2\)'),
    ('keypoints_px', np.full((21, 2), np.nan), 'not finite'),
    ('keypoints_px', [[np.nan, 0.0]] + [[0.0, 0.0]] * 20, 'not finite'),
    ('keypoints_m', np.full((21, 3), np.inf), 'not finite'),
    ('pose', np.zeros((16, 3)), r'pose has shape \(16, 3\)'),
    ('pose', np.zeros(48), 'without the name of their hand model'),
    ('visibility', np.zeros(21), 'visibility without keypoints_px'),
    ('valid_m', np.ones(21), 'valid_m without keypoints_m'),
])
def test_a_wrong_field_is_named(field, value, says):
    with pytest.raises(SampleError, match=says):
        Sample('set/7', IMAGE, **{field: value})
    with pytest.raises(SampleError, match='set/7'):
        Sample('set/7', IMAGE, **{field: value})


def test_an_unknown_visibility_code_is_an_error():
    with pytest.raises(SampleError, match='visibility 5'):
        Sample('a', IMAGE, keypoints_px=np.zeros((21, 2)), visibility=np.full(21, 5))
    with pytest.raises(SampleError, match='visibility 5'):
        Sample('a', IMAGE, keypoints_px=np.zeros((21, 2)), visibility=5 * (np.arange(21) == 7))


def test_rows_without_a_label_become_zeros_and_may_hold_anything():
    points = np.full((21, 2), np.nan)
    points[3:6] = [[1, 2], [5, 9], [3, 4]]
    codes = np.full(21, Visibility.UNLABELLED)
    codes[3:6] = Visibility.VISIBLE, Visibility.OUTSIDE, Visibility.OCCLUDED
    sample = Sample('a', IMAGE, keypoints_px=points, visibility=codes,
                    keypoints_m=np.full((21, 3), np.nan), valid_m=np.zeros(21, bool))
    assert sample.labelled_px.nonzero()[0].tolist() == [3, 4, 5]
    assert (sample.keypoints_px[~sample.labelled_px] == 0).all()
    assert (sample.keypoints_m == 0).all()
    assert sample.joint_box().tolist() == [1, 2, 4, 7]


def test_a_box_needs_two_joints():
    codes = np.full(21, Visibility.UNLABELLED)
    codes[0] = Visibility.VISIBLE
    with pytest.raises(SampleError, match='fewer than two'):
        Sample('a', IMAGE, keypoints_px=np.ones((21, 2)), visibility=codes).joint_box()
    codes[1] = Visibility.OCCLUDED
    points = np.arange(42.0).reshape(21, 2)
    box = Sample('a', IMAGE, keypoints_px=points, visibility=codes).joint_box()
    assert box.tolist() == [0, 1, 2, 2]
    with pytest.raises(SampleError, match='fewer than two'):
        Sample('a', IMAGE).joint_box()


def test_images_and_masks_are_read_when_asked_for():
    calls = []

    def image():
        calls.append('image')
        return IMAGE

    sample = Sample('a', image, mask=lambda: IMAGE[..., 0])
    assert not calls
    assert sample.read_image().shape == (8, 10, 3) and calls == ['image']
    assert sample.read_mask().dtype == np.uint8
    assert Sample('a', IMAGE).read_mask() is None


def test_a_grey_image_is_an_error():
    with pytest.raises(SampleError, match=r'uint8 of shape \(8, 10\)'):
        Sample('a', IMAGE[..., 0]).read_image()


def test_masks_are_of_one_channel_and_may_be_arrays():
    mask = np.full((8, 10), 255, np.uint8)
    assert np.array_equal(Sample('a', IMAGE, mask=mask).read_mask(), mask)
    with pytest.raises(SampleError, match=r'mask has shape \(8, 10, 3\)'):
        Sample('a', IMAGE, mask=IMAGE).read_mask()


def test_what_a_sample_without_keypoints_knows_of_them():
    sample = Sample('a', IMAGE)
    assert sample.labelled_px is None and sample.visibility is None and not sample.root_relative


def test_arrays_are_copies_that_cannot_be_changed():
    points = np.zeros((21, 3))
    sample = Sample('a', IMAGE, keypoints_m=points)
    points[:] = 1
    assert (sample.keypoints_m == 0).all()
    with pytest.raises(ValueError):
        sample.keypoints_m[0] = 1
    with pytest.raises(ValueError):
        Sample('a', IMAGE, box=[0, 0, 2, 3]).box[0] = 1
