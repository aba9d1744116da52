import numpy as np
import pytest

from hiu_ros.geometry.distortion import checked, distort, undistort

#: Model, coefficients, and the ideal radius up to which the lens shows every point once.
LENSES = {
    'barrel': ('plumb_bob', (-0.3, 0.0, 0.002, -0.001), 1.05),
    'strong barrel': ('plumb_bob', (-0.6, 0.1, 0.0, 0.0), 0.82),
    'barrel that rises again': ('plumb_bob', (-0.4, 0.07, 0.0, 0.0), 1.19),
    'webcam': ('plumb_bob', (-0.42, 0.2, 0.001, 0.0005, -0.05), 1.31),
    'pincushion': ('plumb_bob', (0.32, 0.12, 0.001, -0.001, 0.09), 3.0),
    'pincushion that falls': ('plumb_bob', (0.18, 0.048, 0.0, 0.0, -0.017), 1.94),
    'tangential': ('plumb_bob', (0.05, 0.01, 0.03, -0.04), 1.0),
    'rational': ('rational_polynomial', (0.42, -2.6, 6e-4, -3e-4, 1.5, 0.3, -2.4, 1.4), 3.0),
    'rational that falls': (
        'rational_polynomial', (0.54, -2.46, 5e-4, -4e-4, 1.28, 0.17, -2.15, 1.18), 1.10),
    'rational with a pole': ('rational_polynomial', (0, 0, 0, 0, 0, -0.5, 0, 0), 1.41),
    'fisheye': ('equidistant', (-0.012, 0.004, -0.003, 0.0005), 30.0),
    'fisheye that folds': ('equidistant', (0.36, 0.11, 0.025, -0.065), 3.97),
    'fisheye of plain angles': ('equidistant', (0.0, 0.0, 0.0, 0.0), 100.0),
}


def circles(radii):
    """Points (R, 16, 2) around the axis."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False) + 0.1
    return np.multiply.outer(radii, np.stack([np.cos(angle), np.sin(angle)], axis=-1))


@pytest.mark.parametrize('lens', LENSES)
def test_what_a_lens_shows_is_found_again_up_to_where_it_shows_nothing_new(lens):
    model, coefficients, reach = LENSES[lens]
    flat = circles(np.linspace(0.0, 0.96 * reach, 40))
    given = distort(model, coefficients, flat)
    bent = given.copy()
    assert np.allclose(undistort(model, coefficients, bent), flat, rtol=1e-4, atol=1e-6)
    assert np.array_equal(bent, given)
    alone = undistort(model, coefficients, bent[20, 3])
    assert np.allclose(alone, flat[20, 3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('lens, least', [
    ('barrel', 0.72), ('strong barrel', 0.53), ('barrel that rises again', 0.69),
    ('webcam', 0.82), ('pincushion that falls', 2.83), ('rational that falls', 2.4),
    ('fisheye', 1.522), ('fisheye of plain angles', 1.571), ('fisheye that folds', 1.98),
])
def test_beyond_all_that_a_lens_shows_there_is_no_point(lens, least):
    model, coefficients, _ = LENSES[lens]
    bent = circles(np.linspace(least, 6, 200))
    assert np.isnan(undistort(model, coefficients, bent)).all()
    mixed = np.stack([bent[0, 0], [0.1, -0.2], [np.nan, 0.1]])
    found = undistort(model, coefficients, mixed)
    assert np.isnan(found).any(axis=1).tolist() == [True, False, True]
    assert np.allclose(distort(model, coefficients, found[1]), mixed[1])


@pytest.mark.parametrize('lens', LENSES)
def test_no_point_beyond_what_a_lens_shows_is_folded_back_into_its_image(lens):
    """As parts of a near hand would be that leave the image, with the mesh drawn and measured."""
    model, coefficients, reach = LENSES[lens]
    radii = np.concatenate([np.linspace(0.0, 6.0, 600), [40.0, 1e4]])
    shown = distort(model, coefficients, circles(radii))
    radius = np.linalg.norm(shown, axis=-1)
    edge = np.linalg.norm(distort(model, coefficients, circles([0.96 * reach])), axis=-1)
    assert np.isfinite(shown).all()
    assert (np.diff(radius, axis=0) > -2e-3 * edge).all()
    assert np.isnan(distort(model, coefficients, np.full((2, 2), np.nan))).all()


@pytest.mark.parametrize('lens', LENSES)
def test_no_points_are_none_either_way(lens):
    model, coefficients, _ = LENSES[lens]
    assert distort(model, coefficients, np.zeros((0, 2))).shape == (0, 2)
    assert undistort(model, coefficients, np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize('name, model', [
    ('', 'none'), ('pinhole', 'none'), ('None', 'none'), ('radtan', 'plumb_bob'),
    ('brown_conrady', 'plumb_bob'), (' Plumb_Bob ', 'plumb_bob'),
    ('rational', 'rational_polynomial'), ('fisheye', 'equidistant'),
    ('KANNALA_BRANDT', 'equidistant'),
])
def test_models_are_known_by_the_names_that_drivers_give_them(name, model):
    count = {'none': 0, 'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}[model]
    assert checked(name, (0.1,) * count) == model


def test_coefficients_of_zero_are_no_distortion_but_for_a_fisheye():
    for name in ('', 'none', 'plumb_bob', 'rational_polynomial'):
        assert checked(name, ()) == checked(name, (0.0,) * 3) == 'none'
    assert checked('equidistant', (0.0,) * 4) == 'equidistant'


@pytest.mark.parametrize('model, most', [
    ('plumb_bob', 5), ('rational_polynomial', 8), ('equidistant', 4)])
def test_a_list_may_be_longer_by_zeros_alone(model, most):
    longer = (*(0.1,) * most, 0.0, 0.0)
    assert checked(model, longer) == model
    point = np.array([[0.3, -0.2]])
    assert np.array_equal(distort(model, longer, point), distort(model, longer[:most], point))
    again = undistort(model, longer, distort(model, longer, point))
    assert np.allclose(again, point, atol=1e-6)
    for wrong in ((*longer, 0.1), (0.1,) * 3, (0.1, 0.0)):
        with pytest.raises(ValueError, match=f'{model} takes'):
            checked(model, wrong)


def test_a_model_without_distortion_takes_no_coefficients():
    with pytest.raises(ValueError, match='none takes 0 coefficients, got 2'):
        checked('pinhole', (0.1, 0.0))


@pytest.mark.parametrize('model, wrong', [
    ('plumb_bob', (1e9, 1e-9, 0.0, 0.0, 1e-300)),
    ('rational_polynomial', (0.1, 0.0, 0.0, 0.0, 0.0, 1e200, 1e200, 0.0)),
    ('equidistant', (80.0, 125.0, 1e9, 1e-300))])
def test_coefficients_that_no_numbers_can_be_made_of_are_refused(model, wrong):
    with pytest.raises(ValueError, match='are of no lens'):
        checked(model, wrong)
