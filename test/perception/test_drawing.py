import numpy as np
import pytest

from hiu_ros.perception.drawing import draw
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hands


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
    for camera in (stage.camera, None):
        meshed = draw(image, hands, camera, run.faces)
        assert (meshed != plain).any(axis=2).sum() > 500


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
