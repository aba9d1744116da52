import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.renders.appearance import (
    PATTERNS,
    SkinLibrary,
    noise,
    paint,
    sample_light,
    sample_skin,
    to_linear,
)


@pytest.fixture
def pictures(tmp_path):
    for name, colour in (('pale_hand', 200), ('pale_forearm', 180), ('dark_hand2', 60),
                         ('dark_forearm2', 50)):
        picture = np.full((40, 50, 3), colour, np.uint8)
        picture[:20, :, 2] += 20  # the upper half is redder
        cv2.imwrite(str(tmp_path / f'{name}.png'), picture)
    return tmp_path


def test_a_library_reads_hands_with_their_forearms(pictures):
    library = SkinLibrary(pictures)
    assert library.names == ['dark_hand2', 'pale_hand']
    uv = torch.tensor([[0.5, 0.9], [0.5, 0.1], [0.5, 0.9], [2.0, -1.0]])
    forearm = torch.tensor([False, False, True, True])
    pale = library.colour(1, forearm, uv).sqrt().numpy() * 255
    dark = library.colour(0, forearm, uv).sqrt().numpy() * 255
    assert np.allclose(pale, [[220, 200, 200], [200] * 3, [200, 180, 180], [180] * 3], atol=1.5)
    assert np.allclose(dark, [[80, 60, 60], [60] * 3, [70, 50, 50], [50] * 3], atol=1.5)


def test_a_library_can_be_narrowed(pictures):
    assert SkinLibrary(pictures, only=['pale*']).names == ['pale_hand']
    assert SkinLibrary(pictures, leave_out=['pale*']).names == ['dark_hand2']
    assert len(SkinLibrary(None)) == 0


def test_missing_skins_are_named(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match='green'):
        SkinLibrary(pictures, only=['green*'])
    (pictures / 'pale_forearm.png').unlink()
    with pytest.raises(FileNotFoundError, match='pale_forearm.png'):
        SkinLibrary(pictures)


def test_noise_repeats_and_is_even():
    points = torch.rand(5000, 3)
    assert torch.equal(noise(points), noise(points + 1.0)) or (
        noise(points) == noise(points + 1.0)).float().mean() > 0.999
    assert abs(noise(points).mean()) < 0.2 and 0.6 < noise(points).std() < 1.4


def test_patterns_use_both_colours_and_plain_one():
    points = torch.rand(3000, 3)
    for number, name in enumerate(PATTERNS):
        share = paint(number, 7.0, torch.zeros(3), torch.ones(3), points).mean().item()
        assert share == 0 if name == 'plain' else 0.03 < share < 0.97, name
    with pytest.raises(ValueError, match='77'):
        paint(77, 7.0, torch.zeros(3), torch.ones(3), points)


def test_no_pattern_is_darker_than_black():
    points = torch.rand(20000, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    bright, dark = torch.tensor([0.6, 0.7, 0.3]), torch.tensor([0.05, 0.02, 0.001])
    for number in range(len(PATTERNS)):
        assert paint(number, 67.0, bright, dark, points).min() >= 0


def test_skins_run_from_pale_to_dark_with_paler_palms():
    skins = [sample_skin(np.random.default_rng(i), 0) for i in range(200)]
    tones = np.array([skin.tone.mean() for skin in skins])
    assert tones.min() < 0.06 and tones.max() > 0.5
    assert all(skin.picture == -1 for skin in skins)
    paler = [skin.palm.mean() > skin.tone.mean() for skin in skins if skin.tone.mean() < 0.2]
    assert np.mean(paler) > 0.95
    pictured = [sample_skin(np.random.default_rng(i), 5).picture for i in range(200)]
    assert set(pictured) == {-1, 0, 1, 2, 3, 4}


def test_light_is_positive_and_stronger_for_dark_skin():
    for i in range(50):
        light = sample_light(np.random.default_rng(i), 0.3)
        dark = sample_light(np.random.default_rng(i), 0.05)
        assert (light.harmonics[0] > 0).all() and (light.colour >= 0).all()
        assert np.allclose(np.linalg.norm(light.direction, axis=1), 1)
        assert dark.harmonics[0].mean() > light.harmonics[0].mean()


def test_gamma():
    assert to_linear(np.array([0.5])) == pytest.approx(0.25)
