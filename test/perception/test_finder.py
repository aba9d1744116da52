from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.finder import STRIDE, Finder, FinderConfig, FinderOutput
from hiu_ros.perception.finder import (
    Detection,
    HandFinder,
    both_ways_averaged,
    decode,
    reduced,
    without_overlaps,
)


class BlobFinder:
    """Stands in for the network: finds bright green discs, whose area tells their size."""

    config = SimpleNamespace(long_side=256)

    def __call__(self, images):
        import cv2
        frame = ((images[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
        height, width = frame.shape[:2]
        h, w = height // STRIDE, width // STRIDE
        centre, offset = torch.full((1, h, w), -6.0), torch.zeros(1, 2, h, w)
        size, side = torch.zeros(1, h, w), torch.zeros(1, h, w)
        green = ((frame[..., 1] > 128) & (frame[..., 0] < 100)).astype(np.uint8)
        count, _, stats, middles = cv2.connectedComponentsWithStats(green)
        for k in range(1, count):
            extent = max(stats[k, 2], stats[k, 3])
            if extent < 10:
                continue
            place = (middles[k] + 0.5) / STRIDE - 0.5
            x, y = np.clip(np.rint(place).astype(int), 0, [w - 1, h - 1])
            centre[0, y, x] = 4.0
            offset[0, :, y, x] = torch.tensor(place - [x, y])
            size[0, y, x] = float(np.log(extent / self.config.long_side))
            side[0, y, x] = 3.0 if frame[int(middles[k][1]), int(middles[k][0]), 2] > 128 else -3.0
        return FinderOutput(centre, offset, size, side)


def picture(height, width, discs):
    import cv2
    image = np.zeros((height, width, 3), np.uint8)
    for x, y, radius, right in discs:
        cv2.circle(image, (x, y), radius, (0, 255, 255 if right else 0), -1)
    return image


@pytest.mark.parametrize('height, width', [(480, 640), (640, 480), (100, 100), (1080, 1920),
                                           (50, 700)])
def test_boxes_lie_on_the_hands_of_images_of_any_shape(height, width):
    radius = int(0.12 * min(height, width)) + 8
    x, y = int(0.3 * width), int(0.6 * height)
    found = HandFinder(BlobFinder()).find(picture(height, width, [(x, y, radius, True)]))
    assert len(found) == 1
    box, pixel = found[0].box, max(max(height, width) / 256, 0.5)
    assert np.allclose(box[:2] + box[2:] / 2, [x, y], atol=0.2 * pixel)
    assert np.allclose(box[2:], 2 * radius, atol=2.5 * pixel)
    assert found[0].side == 'right' and found[0].side_score > 0.9 and found[0].score > 0.9


def test_what_is_found_beside_the_image_is_none_of_its_hands():
    def find(row, column, shift=0.0):
        """What a network gives that sees a hand in one cell of its map."""
        flat = torch.zeros(1, 20, 32)
        output = FinderOutput(flat - 6, torch.full((1, 2, 20, 32), shift), flat - 2, flat)
        output.centre[0, row, column] = 4.0
        finder = HandFinder(BlobFinder())
        finder._network = lambda images: output
        return finder.find(np.zeros((600, 1000, 3), np.uint8))

    # The image fills 154 of 160 rows.
    assert len(find(18, 31)) == 1 and find(19, 31) == []
    assert len(find(0, 0)) == 1 and find(0, 0, shift=-1.0) == []


def test_the_network_sees_black_as_minus_one_and_white_as_one():
    seen = []

    def network(images):
        seen.append(images)
        return BlobFinder()(images)

    network.config = BlobFinder.config
    image = np.zeros((192, 256, 3), np.uint8)
    image[:, 128:], image[:, :128, 2] = 255, 51
    HandFinder(network).find(image)
    (shown,) = seen
    assert shown.shape == (1, 3, 192, 256) and shown.dtype == torch.float32
    assert (shown[..., 128:] == 1).all() and (shown[:, :2, :, :128] == -1).all()
    assert torch.allclose(shown[:, 2, :, :128], torch.tensor(-0.6))


def test_the_weights_that_are_named_are_loaded():
    with pytest.raises(CheckpointError, match='my_finder does not exist'):
        HandFinder.from_file('my_finder')


def test_a_cell_that_no_neighbour_exceeds_is_a_hand_with_its_place_size_and_side():
    flat = torch.zeros(1, 6, 8)
    output = FinderOutput(flat - 6, torch.zeros(1, 2, 6, 8), flat - 2, flat - 3)
    output.centre[0, 2, 3:5] = torch.tensor([4.0, 3.0])
    output.offset[0, :, 2, 3] = torch.tensor([0.25, 9.0])  # one cell and a half at most
    hand, = decode(output, 256, 0.5)
    middle, size = np.array([3.75, 4.0]) * STRIDE - 0.5, 256 * np.exp(-2)
    assert np.allclose(hand.box, [*(middle - size / 2), size, size], atol=1e-4)
    certainty = 1 / (1 + np.exp([-3, -4]))
    assert hand.side == 'left' and np.allclose([hand.side_score, hand.score], certainty)


@pytest.mark.parametrize('logit, side', [(0.2, 'right'), (-0.2, 'left')])
def test_the_likelier_side_is_told_and_how_likely_it_is(logit, side):
    flat = torch.zeros(1, 8, 8)
    output = FinderOutput(flat - 6, torch.zeros(1, 2, 8, 8), flat - 2, flat + logit)
    output.centre[0, 4, 4] = 4.0
    hand, = decode(output, 256, 0.5)
    assert hand.side == side and hand.side_score == pytest.approx(1 / (1 + np.exp(-0.2)))


def test_shifts_and_sizes_beyond_all_sense_are_bounded():
    flat = torch.zeros(1, 8, 8)
    output = FinderOutput(flat - 6, torch.full((1, 2, 8, 8), -9.0), flat + 40, flat)
    output.centre[0, 4, 4] = 4.0
    huge, = decode(output, 256, 0.5)
    tiny, = decode(output._replace(log_size=flat - 90), 256, 0.5)
    for hand in (huge, tiny):
        assert np.allclose(hand.box[:2] + hand.box[2:] / 2, 3 * STRIDE - 0.5)
    assert 256 < huge.box[2] < 2 * 256 and 1 < tiny.box[2] < 8


def test_several_hands_with_their_sides_and_none_in_an_empty_image():
    finder = HandFinder(BlobFinder())
    found = finder.find(picture(480, 640, [(100, 100, 40, True), (500, 300, 60, False)]))
    assert sorted((d.side, round(d.box[0] / 100)) for d in found) == [('left', 4), ('right', 1)]
    assert finder.find(np.zeros((480, 640, 3), np.uint8)) == []


class Lopsided:
    """Sees hands in the left half of images only, and all of them as right ones."""

    config = SimpleNamespace(long_side=256)

    def __call__(self, images):
        maps = [BlobFinder()(image[None]) for image in images]
        for output in maps:
            output.centre[..., output.centre.shape[-1] // 2:] = -6.0
            output.side.fill_(2.0)
        return FinderOutput(*(torch.cat(parts) for parts in zip(*maps)))


def test_mean_of_image_and_mirror_image_has_no_better_half_and_no_better_side():
    image = picture(480, 640, [(103, 130, 40, True), (513, 300, 60, False)])
    assert len(HandFinder(Lopsided()).find(image)) == 1
    found = HandFinder(Lopsided(), both_ways=True).find(image)
    middles = sorted((d.box[:2] + d.box[2:] / 2).tolist() for d in found)
    assert np.allclose(middles, [[103, 130], [513, 300]], atol=4)
    assert all(0.4 < d.score < 0.6 and d.side_score == pytest.approx(0.5, abs=0.01)
               for d in found)


def test_the_mean_of_an_image_and_a_mirror_image_that_agree_is_what_they_say():
    torch.manual_seed(0)
    centre, log_size, side = torch.randn(3, 1, 8, 12)
    there = FinderOutput(centre, torch.randn(1, 2, 8, 12), log_size, side)
    turned = there.offset * torch.tensor([-1.0, 1.0])[:, None, None]
    back = (centre.flip(2), turned.flip(3), log_size.flip(2), -side.flip(2))
    mean = both_ways_averaged(FinderOutput(*(torch.cat(pair) for pair in zip(there, back))))
    for found, expected in zip(mean, there):
        assert torch.allclose(found, expected, atol=1e-5)


def test_small_hands_are_found_in_parts_of_the_image_once():
    # The third lies across the edge of the upper left part.
    small = [(200, 200), (640, 480), (768, 300)]
    image = picture(960, 1280, [*((*at, 21, True) for at in small), (900, 700, 200, True)])
    plain, thorough = (HandFinder(BlobFinder(), small_hands=s).find(image) for s in (False, True))
    assert len(plain) == 1
    middles = sorted((d.box[:2] + d.box[2:] / 2).tolist() for d in thorough)
    assert np.allclose(middles, [*small, (900, 700)], atol=4)


@pytest.mark.parametrize('at', [(5, 240), (635, 240), (320, 5), (320, 475)])
def test_a_hand_that_the_edge_of_the_image_cuts_is_found(at):
    assert len(HandFinder(BlobFinder()).find(picture(480, 640, [(*at, 40, True)]))) == 1


def test_duplicates_merge_into_the_best():
    boxes = [Detection(np.array([0.0, 0, 100, 100]), score=0.6),
             Detection(np.array([5.0, 5, 100, 100]), score=0.9),
             Detection(np.array([30.0, 30, 30, 30]), score=0.5),
             Detection(np.array([90.0, 90, 100, 100]), score=0.4)]
    kept = without_overlaps(boxes)
    assert [d.score for d in kept] == [0.9, 0.4]


def test_hands_that_cross_are_two_even_if_one_is_the_smaller():
    large, small = np.array([0.0, 0, 100, 100]), np.array([62.0, 20, 45, 45])
    beside = np.array([30.0, 0, 100, 100])  # overlap 0.54
    assert len(without_overlaps([Detection(large), Detection(small)])) == 2
    assert len(without_overlaps([Detection(large), Detection(beside)])) == 2
    assert len(without_overlaps([Detection(large), Detection(beside - [4, 0, 0, 0])])) == 1


def test_input_is_padded_to_what_the_network_takes():
    small, scale = reduced(np.full((600, 1000, 3), 9, np.uint8), 256)
    assert small.shape == (160, 256, 3) and scale == pytest.approx(0.256)
    assert (small[:154] == 9).all() and (small[154:] == 0).all()


def test_a_reduced_image_averages_all_of_its_pixels_and_an_enlarged_one_is_smooth():
    lines = np.zeros((600, 1024, 3), np.uint8)
    lines[:, ::4] = 200
    small, _ = reduced(lines, 256)
    assert (np.abs(small[:150].astype(int) - 50) <= 1).all()
    step = np.zeros((96, 128, 3), np.uint8)
    step[:, 64:] = 200
    large, scale = reduced(step, 256)
    assert scale == 2 and len(np.unique(large[90, :, 0])) > 2


@pytest.mark.parametrize('size, inner', [
    ((480, 640), (192, 256)), ((720, 1280), (144, 256)), ((2000, 1000), (256, 128)),
    ((360, 1800), (128, 640)), ((2000, 400), (640, 128)), ((20, 8192), (2, 1024)),
    ((96, 128), (192, 256)), ((48, 64), (96, 128)), ((30, 150), (60, 300)),
])
def test_wide_images_keep_their_height_and_tiny_ones_are_not_blown_up(size, inner):
    small, scale = reduced(np.full((*size, 3), 9, np.uint8), 256)
    filled = small[..., 0] == 9
    assert (filled.any(axis=1).sum(), filled.any(axis=0).sum()) == inner
    assert scale == pytest.approx(inner[1] / size[1], rel=0.03)
    assert not any(side % 32 for side in small.shape[:2])


def test_a_hand_in_a_wide_image_is_found_as_large_as_it_is():
    # In an input of 256 px it would be 9 px large, less than the stand-in for a network sees.
    image = picture(360, 2000, [(1500, 200, 36, True)])
    (found,) = HandFinder(BlobFinder()).find(image)
    assert np.allclose(found.box, [1464, 164, 72, 72], atol=8)


def test_the_real_network_runs_on_any_image():
    torch.manual_seed(0)
    finder = HandFinder(Finder(FinderConfig()).eval().fuse(), threshold=0.0, most=3)
    for shape in ((480, 640, 3), (33, 500, 3)):
        found = finder.find(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))
        assert 0 < len(found) <= 3
        assert all(np.isfinite(d.box).all() for d in found)
