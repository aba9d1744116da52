"""Hands that the image's edge cuts off: black beyond it, labels as they were."""

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.image_edge import ImageEdge
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions

N = 64


def edges(points, count=200):
    return [ImageEdge.through(points, np.random.default_rng(k)) for k in range(count)]


def test_an_edge_leaves_a_part_of_the_points_within_the_image():
    points = np.random.default_rng(0).uniform(0, 100, (21, 2))
    beyond = np.array([edge.cuts_off(points).mean() for edge in edges(points)])
    assert beyond.min() > 0 and 0.5 < beyond.max() < 0.76
    assert 0.2 < beyond.mean() < 0.35


def test_edges_run_along_rows_and_columns_on_every_side():
    points = np.random.default_rng(1).uniform(0, 100, (50, 2))
    sides, corners = set(), 0
    for edge in edges(points):
        for normal, limit in zip(edge.normals, edge.limits):
            sides.add(tuple(normal))
            assert np.array_equal(edge.cuts_off(points) | (points @ normal > limit),
                                  edge.cuts_off(points))
        if len(edge.normals) == 2:
            corners += 1
            assert edge.normals[0] @ edge.normals[1] == 0
    assert sides == {(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)}
    assert 20 < corners < 60


@pytest.mark.parametrize('mirrored', [False, True])
def test_the_pixels_of_a_turned_crop_lie_beyond_where_their_points_of_the_image_do(mirrored):
    edge = ImageEdge(np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([50.0, -20.0]))
    crop = Crop((45.0, 25.0), 40.0, 0.7, mirrored, N)
    beyond = edge.in_crop(crop)
    assert beyond.shape == (N, N) and 0 < beyond.mean() < 1
    for row, column in [(0, 0), (5, 60), (60, 5), (32, 32), (63, 63), (20, 40)]:
        x, y = crop.to_image(np.array([column, row], float))
        assert beyond[row, column] == (x > 50 or y < 20)


def test_an_edge_across_any_crop_takes_a_part_of_it():
    shares = [ImageEdge.across(N, np.random.default_rng(k)).mean() for k in range(100)]
    assert all(0 < share < 0.8 for share in shares) and 0.15 < np.mean(shares) < 0.4


def mixes(bank, cache, **options):
    common = {'photos': str(cache), 'renders': (str(bank),), 'occluder_share': 0.0,
              'photometric': False, 'cutout_share': 0.0} | options
    return [HandMix(MixOptions(**common, edge_share=share), N, seed=3) for share in (0.0, 1.0)]


def test_crops_are_black_beyond_the_edge_and_show_no_hand_there(bank, cache):
    plain, cut = mixes(bank, cache, negative_share=0.0)
    hidden = about_rest = 0
    for k in range(40):
        a, b = plain[k], cut[k]
        black = (b['images'] == 0).all(-1)
        assert black.mean() > (a['images'] == 0).all(-1).mean() or black.mean() > 0.02
        beyond = black.reshape(N // 2, 2, N // 2, 2).all((1, 3))
        assert not (b['masks'][beyond & ~_beside(~beyond)] > 0).any()
        x, y = b['keypoints'][b['keypoint_weights'] > 0].round().astype(int).T
        hidden += black[y, x].sum()
        about_rest += (b['keypoint_weights'] > 0).sum() < (a['keypoint_weights'] > 0).sum()
        for name in ('presence', 'presence_weights', 'weights_3d', 'shapes', 'side_weights'):
            assert np.array_equal(a[name], b[name]), name
    # Joints beyond the edge are told all the same, unless the crop is about the others.
    assert hidden > 60 and about_rest > 3


def _beside(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


def test_crops_without_a_hand_have_such_edges_too(bank, cache):
    plain, cut = mixes(bank, cache)
    for k in range(20):
        a, b = (mix.negative(np.random.default_rng(k)) for mix in (plain, cut))
        changed = (a['images'] != b['images']).any(-1)
        assert changed.any() and not b['images'][changed].any()
        assert b['presence'] == 0 and not b['masks'].any()
