"""Hands cut out, laid over other pictures and beside other hands."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.collage import (
    ASIDE,
    bare_arm,
    blend,
    cut,
    of_one_skin,
    opacity,
    other_hand,
    share_hidden,
    soft_edge,
    spots,
)
from hiu_ros.training.sources import Tile

GREEN, COLOUR = (0, 200, 0), (90, 130, 170)
N = 64


@pytest.fixture
def spot() -> Tile:
    """A green disc of 8 px about the middle (40, 30) of its joints' box, which is 40 px wide."""
    image = np.full((60, 80, 3), 10, np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    cv2.circle(image, (40, 30), 8, GREEN, -1)
    cv2.circle(mask, (40, 30), 8, 255, -1)
    outline = np.array([[20.0, 20.0], [60.0, 40.0]])
    return Tile(image, outline, True, mask=mask)


def test_an_edge_is_soft_and_nothing_else_changes():
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 255
    for k in range(8):
        alpha = soft_edge(mask, np.random.default_rng(k))
        assert alpha.shape == (40, 40, 1) and alpha.dtype == np.float32
        row = alpha[20, :, 0]
        assert (np.diff(row) >= 0).all() and ((row > 0.1) & (row < 0.9)).any()
        assert row[:12].max() == 0 and row[28:].min() == 1


def test_blend_shows_the_front_where_it_is_opaque():
    front, behind = np.full((2, 2, 3), 200, np.uint8), np.full((2, 2, 3), 100, np.uint8)
    alpha = np.array([[1.0, 0.0], [0.5, 0.25]], np.float32)[..., None]
    picture = blend(front, alpha, behind)
    assert picture.dtype == np.uint8 and picture[..., 0].tolist() == [[200, 100], [150, 125]]


def test_opacity_is_that_of_the_arm_too_where_it_is_known(spot):
    arm = np.full((60, 80, 1), 255, np.uint8)
    assert opacity(spot) is spot.mask
    assert (opacity(replace(spot, image=np.concatenate([spot.image, arm], axis=2))) == 255).all()
    assert opacity(replace(spot, mask=None)) is None


@pytest.fixture
def render() -> Tile:
    """A disc and an arm up to the tile's edge, all of one colour; black where nothing is."""
    cover = np.zeros((160, 160), np.uint8)
    cv2.circle(cover, (90, 90), 30, 255, -1, cv2.LINE_AA)
    cv2.rectangle(cover, (80, 90), (100, 159), 255, -1)
    image = np.dstack([np.where(cover[..., None] > 0, np.uint8(COLOUR), np.uint8(0)), cover])
    return Tile(image, np.array([[60.0, 60.0], [120.0, 120.0]]), True)


@pytest.mark.parametrize('size', [70.0, 130.0, 300.0])
def test_a_render_before_its_own_colour_is_not_seen(render, size):
    behind = np.full((N, N, 3), COLOUR, np.uint8)
    picture, alpha = cut(render, Crop((88.3, 91.7), size, 0.4, resolution=N), 'replicate')
    shown = blend(picture, alpha.astype(np.float32) / 255, behind)
    assert alpha.max() == 255 and np.abs(shown.astype(int) - COLOUR).max() < 4
    for k in range(20):
        picture, cover = other_hand(render, N, np.random.default_rng(k))
        shown = blend(picture, cover, behind)
        assert cover.max() > 0.5 and np.abs(shown.astype(int) - COLOUR).max() < 6


def test_another_hand_keeps_its_colour_and_stays_away_from_the_middle(spot):
    places = []
    for k in range(300):
        picture, cover = other_hand(spot, N, np.random.default_rng(k))
        assert picture.shape == (N, N, 3) and cover.shape == (N, N, 1)
        assert 0 <= cover.min() and cover.max() <= 1
        sure = cover[..., 0] > 0.99
        assert (np.abs(picture[sure].astype(int) - GREEN) < 40).all()
        whole = not cover[[0, -1]].any() and not cover[:, [0, -1]].any()
        if whole and sure.any():
            rows, columns = np.nonzero(cover[..., 0] > 0.5)
            places.append((np.array([columns.mean(), rows.mean()]) - (N - 1) / 2) / N)
    distance = np.linalg.norm(places, axis=1)
    assert len(places) > 30 and 0.23 < distance.min() < 0.3
    # On every side of the crop.
    quarter = {tuple(place > 0) for place in np.array(places)}
    assert len(quarter) == 4


def test_a_hand_aside_is_too_far_from_the_middle_to_be_asked_for(spot):
    rows, columns = np.mgrid[:N, :N] - (N - 1) / 2
    near = np.hypot(rows, columns) < 0.4 * N
    seen = 0
    for k in range(60):
        _, cover = other_hand(spot, N, np.random.default_rng(k), ASIDE)
        assert not (cover[near] > 0.1).any()
        seen += (cover > 0.9).any()
    assert seen > 10


def test_another_hand_in_the_skin_of_the_one_asked_for(spot):
    picture, cover = other_hand(spot, N, np.random.default_rng(3))
    skin = np.array([60, 90, 160])
    image, mask = np.full((N, N, 3), 20, np.uint8), np.zeros((N, N), np.uint8)
    image[20:40, 20:40], mask[20:40, 20:40] = skin, 255
    picture[:] = (80, 100, 120)
    picture[cover[..., 0] <= 0.5] = 0  # what is behind the other hand does not count
    same = of_one_skin(picture, cover, image, mask)
    assert same.dtype == np.uint8
    assert np.abs(same[cover[..., 0] > 0.5].mean(axis=0) - skin).max() < 2
    # Where no mask tells the skin it stays as it is, and no colour is changed beyond belief.
    assert of_one_skin(picture, cover, image, np.zeros_like(mask)) is picture
    picture[:] = (2, 90, 250)
    assert of_one_skin(picture, cover, image, mask)[0, 0].tolist() == [5, 90, 160]


def test_an_arm_is_round_and_crosses_its_aim_from_border_to_border():
    skin, aim, half = np.array([60.0, 90.0, 160.0]), np.array([50.0, 20.0]), 6.0
    for k in range(40):
        picture, cover = bare_arm((48, N), skin, aim, half, np.random.default_rng(k))
        assert picture.shape == (48, N, 3) and cover.shape == (48, N, 1)
        shown = cover[..., 0] > 0.5
        ends = [edge.any() for edge in (shown[0], shown[-1], shown[:, 0], shown[:, -1])]
        assert sum(ends) >= 2
        rows, columns = np.nonzero(shown)
        assert np.hypot(columns - aim[0], rows - aim[1]).min() < 2 * half
        assert shown.mean() < 0.6
        # The hue is that of the skin, whatever the shade.
        hue = picture[cover[..., 0] > 0.95].mean(axis=0)
        assert hue / hue.sum() == pytest.approx(skin / skin.sum(), abs=0.04)


def test_share_of_joints_under_a_cover_by_hand():
    cover = np.zeros((N, N, 1), np.float32)
    cover[10:20, 30:40] = 1
    cover[40, 5] = 0.4
    joints = np.array([[30.4, 10.0], [39.0, 19.0], [29.0, 15.0], [15.0, 30.0], [5.0, 40.0]])
    assert share_hidden(cover, joints) == pytest.approx(2 / 5)
    # What lies outside of the crop is not under the cover.
    assert share_hidden(cover, np.array([[35.0, 15.0], [35.0, -50.0]])) == 0.5
    assert share_hidden(cover, np.zeros((0, 2))) == 0


def test_a_hand_known_by_its_box_alone_is_hidden_as_much_as_its_box():
    corners = np.array([[10.0, 10.0], [50.0, 50.0]])
    alpha = np.zeros((N, N, 1), np.float32)
    alpha[12:48, 12:48] = 1  # all of the box but its edges
    assert share_hidden(alpha, corners) == 0
    assert share_hidden(alpha, spots(corners)) == pytest.approx(9 / 25)
    joints = np.full((21, 2), 20.0)
    joints[3] = np.nan
    assert len(spots(joints)) == 20 and np.isfinite(spots(joints)).all()
