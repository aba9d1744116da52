import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.outline_fit import fit_outline, silhouette
from hiu_ros.hand.model import load_template

TEMPLATE = load_template('fast')
N = 128


def mesh_at(scale=1.0, shift=(0.0, 0.0), turn=(0.3, 0.2, 1.5), fine=1):
    """Silhouette of a hand about 80 px large in a picture of N pixels; `fine` draws it larger."""
    vertices = Rotation.from_rotvec(turn).apply(TEMPLATE.vertices - TEMPLATE.vertices.mean(0))
    points = vertices[:, :2] * (420 * scale) + (N - 1) / 2 + shift
    picture = silhouette(fine * points + (fine - 1) / 2, TEMPLATE.faces, fine * N, False)
    return cv2.resize(picture, (N, N), interpolation=cv2.INTER_AREA)


def mask_at(**where):
    """What a perfect mask of that hand is: pixels whose middle it covers."""
    return mesh_at(fine=8, **where) > 127


@pytest.mark.parametrize('scale', [0.85, 0.95, 1.0, 1.08, 1.2])
@pytest.mark.parametrize('turn', [(0.3, 0.2, 1.5), (1.2, 0.4, 0.3), (0.2, 2.0, 1.0)])
def test_exact_mask_gives_the_exact_scale(scale, turn):
    fit = fit_outline(mask_at(scale=scale, turn=turn), mesh_at(turn=turn), scale_doubt=1.0)
    assert fit.scale == pytest.approx(scale, abs=0.012)
    assert fit.share > 0.9


def test_mesh_is_brought_to_the_place_of_the_mask():
    fit = fit_outline(mask_at(shift=(4.0, -3.0)), mesh_at(), scale_doubt=1.0, shift_doubt=1.0)
    assert np.allclose(fit.shift, [4.0, -3.0], atol=0.4)
    assert fit.scale == pytest.approx(1.0, abs=0.01)


def test_what_is_known_well_moves_little_and_what_is_not_far():
    mask, mesh = mask_at(scale=1.1), mesh_at()
    scales = [fit_outline(mask, mesh, scale_doubt=doubt).scale for doubt in (1e-4, 0.01, 1.0)]
    assert scales[0] == pytest.approx(1.0, abs=1e-3) and scales[2] == pytest.approx(1.1, abs=0.01)
    assert scales[0] + 0.01 < scales[1] < scales[2] - 0.01
    mask = mask_at(shift=(3.0, 0.0))
    shifts = [fit_outline(mask, mesh, shift_doubt=doubt).shift[0] for doubt in (1e-4, 0.01, 1.0)]
    assert abs(shifts[0]) < 0.05 and shifts[2] == pytest.approx(3.0, abs=0.3)
    assert shifts[0] + 0.2 < shifts[1] < shifts[2] - 0.2


def test_what_hides_a_part_of_the_hand_hardly_makes_it_smaller():
    mask = mask_at(scale=1.06)
    whole = mask.sum()
    rows, columns = np.nonzero(mask)
    mask[:, :int(np.percentile(columns, 22))] = False
    assert mask.sum() < 0.8 * whole
    fit = fit_outline(mask, mesh_at())
    assert fit.scale == pytest.approx(1.06, abs=0.035)


def test_outline_that_is_none_is_left_out():
    mask = mask_at(scale=1.06)
    rows, columns = np.nonzero(mask)
    cut = int(np.percentile(rows, 60))
    mask[cut:] = False
    usable = np.ones((N, N), bool)
    usable[cut - 1:] = False
    assert fit_outline(mask, mesh_at(), usable).scale == pytest.approx(1.06, abs=0.025)


@pytest.mark.parametrize('shift', [(45, 0), (-45, 0), (0, 45), (0, -45)])
def test_where_the_picture_cuts_a_hand_is_no_outline_of_it(shift):
    fit = fit_outline(mask_at(scale=1.06, shift=shift), mesh_at(shift=shift), scale_doubt=1.0)
    assert fit.scale == pytest.approx(1.06, abs=0.012)
    assert fit.share > 0.97


@pytest.mark.parametrize('way', [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_mesh_that_lies_farther_beyond_the_edge_than_its_mask_is_moved_back(way):
    way = np.array(way)
    fit = fit_outline(mask_at(shift=40 * way), mesh_at(shift=46 * way), scale_doubt=1.0,
                      shift_doubt=1.0)
    assert np.allclose(fit.shift, -6 * way, atol=0.6) and fit.share > 0.9


def test_what_the_mask_says_where_it_is_not_usable_changes_nothing():
    mask, usable = mask_at(scale=1.06), np.ones((N, N), bool)
    edge = int(np.percentile(np.nonzero(mask)[1], 60))
    usable[:, edge:] = False
    # The mask has run into an arm, a thing lies before the hand, or neither.
    grown, cut = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0, mask.copy()
    cut[:, edge + 2:] = False
    fits = [fit_outline(np.where(usable, mask, other), mesh_at(), usable)
            for other in (mask, grown, cut)]
    assert fits[0].scale == pytest.approx(1.06, abs=0.012)
    for fit in fits[1:]:
        assert fit.scale == pytest.approx(fits[0].scale, abs=0.003)
        assert np.allclose(fit.shift, fits[0].shift, atol=0.1)
    assert fit_outline(mask, mesh_at(), ~usable).share > 0.9


def test_too_little_to_go_by_gives_no_fit():
    empty = np.zeros((N, N), bool)
    assert fit_outline(empty, mesh_at()) is None
    assert fit_outline(mask_at(), empty) is None
    assert fit_outline(mask_at(), mesh_at(), empty) is None
    few = mask_at(scale=0.08)
    assert few.any() and fit_outline(few, few) is None
    elsewhere = np.zeros((N, N), bool)
    elsewhere[5:30, 5:120] = True
    with np.errstate(all='raise'):
        assert fit_outline(mask_at(), ~empty) is None
    assert fit_outline(elsewhere, mesh_at(shift=(0, 30))) is None


def test_silhouette_of_a_mirrored_picture_is_the_mirrored_silhouette():
    vertices = Rotation.from_rotvec((0.3, 0.2, 1.5)).apply(TEMPLATE.vertices)
    points = vertices[:, :2] * 400 + 64
    plain = silhouette(points, TEMPLATE.faces, N, False)
    turned = np.stack([N - 1 - points[:, 0], points[:, 1]], 1)
    mirrored = silhouette(turned, TEMPLATE.faces, N, True)
    assert plain.any()
    assert (plain[:, ::-1] != mirrored).mean() < 0.002
