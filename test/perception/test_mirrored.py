import numpy as np
import pytest

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.mirrored import mirrored_frame


@pytest.mark.parametrize('deep', [True, False])
def test_image_depth_and_boxes_are_turned_round_alike(deep):
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    # Low and high edge of the box are the pixels 1 and 3, which are 7 and 5 of the other picture.
    frame = Frame(image, depth=image[..., 0] / 100 if deep else None,
                  boxes=[[1, 2, 2, 3]] if deep else None)
    turned = mirrored_frame(frame)
    assert np.array_equal(turned.image, image[:, ::-1])
    if deep:
        assert np.array_equal(turned.depth, frame.depth[:, ::-1])
        assert turned.boxes == [[5, 2, 2, 3]]
    else:
        assert turned.depth is None and turned.boxes is None


@pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.int32, np.float32])
def test_boxes_of_any_kind_of_numbers_may_reach_out_of_the_picture(kind):
    boxes = np.array([[200, 1, 100, 3]], kind)
    turned = mirrored_frame(Frame(np.zeros((6, 259, 3), np.uint8), boxes=boxes))
    assert turned.boxes == [[-42, 1, 100, 3]]
