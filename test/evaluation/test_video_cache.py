import numpy as np
import pytest

from hiu_ros.data.renders.sequences import Frame, HandTruth
from hiu_ros.evaluation import video_cache
from hiu_ros.evaluation.video_cache import CachedSequence


class Rendered:
    """Stands in for the renderer."""

    calls = []
    shade = 0

    def __init__(self, seed, frames, hands=1, with_depth=False):
        self.camera_matrix, self.width, self.height = np.eye(3), 40, 30
        self.seed, self.count, self.with_depth = seed, frames, with_depth

    def __len__(self):
        return self.count

    def frame(self, index):
        Rendered.calls.append(index)
        rng = np.random.default_rng([self.seed, index])
        image = rng.integers(0, 200, (30, 40, 3)).astype(np.uint8) + np.uint8(Rendered.shade)
        mask = np.where(rng.random((30, 40)) > 0.5, 255, 0).astype(np.uint8)
        depth = np.where(mask > 0, rng.uniform(0.3, 3.0, mask.shape), np.inf).astype(np.float32)
        hand = HandTruth(3, 'left', rng.random((21, 2)).astype(np.float32), rng.random((21, 3)),
                         rng.random(3), rng.random(48), rng.random(10), mask, 0.7)
        return Frame(image, [hand] * (index % 2), index / 30,
                     depth if self.with_depth else None)


@pytest.fixture(autouse=True)
def rendered(monkeypatch):
    monkeypatch.setattr(video_cache, 'HandSequence', Rendered)
    Rendered.calls, Rendered.shade = [], 0


def test_frames_come_back_as_they_were_rendered(tmp_path):
    settings = {'seed': 4, 'frames': 4, 'with_depth': True}
    truth = Rendered(**settings)
    for _ in range(2):
        for index, frame in enumerate(CachedSequence(tmp_path, settings)):
            expected = truth.frame(index)
            assert np.array_equal(frame.image, expected.image)
            assert frame.time == expected.time
            assert np.allclose(frame.depth, expected.depth, atol=6e-5)
            assert len(frame.hands) == len(expected.hands)
            for got, want in zip(frame.hands, expected.hands):
                assert (got.id, got.side, got.visible) == (want.id, want.side, want.visible)
                assert got.vertices is None
                for name in ('keypoints_px', 'translation', 'pose', 'mask'):
                    assert np.array_equal(getattr(got, name), getattr(want, name)), name


def test_a_video_goes_on_where_it_stopped(tmp_path):
    settings = {'seed': 1, 'frames': 6}
    first = CachedSequence(tmp_path, settings)
    for index in range(3):
        first.frame(index)
    Rendered.calls.clear()
    assert len(list(CachedSequence(tmp_path, settings))) == 6
    # One of the kept ones to compare, and those that were missing.
    assert sorted(Rendered.calls) == [1, 3, 4, 5]


def test_a_changed_renderer_makes_the_video_anew(tmp_path):
    settings = {'seed': 1, 'frames': 3}
    before = [frame.image for frame in CachedSequence(tmp_path, settings)]
    Rendered.shade = 20
    after = [frame.image for frame in CachedSequence(tmp_path, settings)]
    assert all(np.array_equal(b + 20, a) for a, b in zip(after, before))


def test_other_settings_are_another_video(tmp_path):
    one = CachedSequence(tmp_path, {'seed': 1, 'frames': 2}).frame(0)
    other = CachedSequence(tmp_path, {'seed': 2, 'frames': 2}).frame(0)
    assert not np.array_equal(one.image, other.image)
