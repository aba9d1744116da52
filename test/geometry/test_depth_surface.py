import numpy as np
import pytest

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.depth_surface import depth_behind_mesh, metres

CAMERA = Camera(600.0, 600.0, 319.5, 239.5, 640, 480)
FACES = np.array([[0, 2, 1], [0, 3, 2]])
ORIGIN, SIDE, AWAY = (300, 200), 60, 0.6


def board(side=SIDE):
    """Corners of a board that faces the camera, and its mask."""
    low = np.array(ORIGIN) - 0.5
    pixels = low + side * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    rays = CAMERA.normalise(pixels)
    return np.column_stack([rays, np.ones(4)]) * AWAY, np.full((side, side), 255, np.uint8)


def measured(depth, side=SIDE, **options):
    vertices, mask = board(side)
    return depth_behind_mesh(vertices, FACES, CAMERA, depth, mask, ORIGIN, **options)


def image(away):
    return np.full((480, 640), away, np.float32)


def agreeing(share, seed=0):
    """Depth that shows the board 3 cm farther in a share of the pixels, and anything elsewhere."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.3, 0.9, (480, 640))
    return np.where(rng.random(depth.shape) < share, AWAY + 0.03, depth).astype(np.float32)


def test_depth_of_a_board_is_measured_to_its_surface():
    found = measured(image(0.65))
    assert found.shift == pytest.approx(0.05, abs=1e-4) and found.share == 1
    assert found.pixels == (SIDE - 2) ** 2  # the outline is left out
    assert 0.001 < found.sigma < 0.005


@pytest.mark.parametrize('kind, unit', [(np.uint16, 1000), (np.float32, 1), (np.float64, 1)])
def test_depth_of_either_unit_is_read_where_the_board_is_and_holes_are_left_out(kind, unit):
    away = image(0.65) * unit
    away[210:215] = 0
    found = measured(away.astype(kind))
    assert found.shift == pytest.approx(0.05, abs=1e-4)
    assert found.pixels == (SIDE - 2) ** 2 - 5 * (SIDE - 2) and found.share == 1


def test_a_large_tilted_board_is_measured_where_its_pixels_are():
    def away(x, y):
        return 1 / (1.4 + 0.002 * (x - 300) - 0.001 * (y - 200))

    corners = np.array(ORIGIN) - 0.5 + [[0, 0], [300, 0], [300, 150], [0, 150]]
    vertices = CAMERA.unproject(corners, away(*corners.T))
    depth = away(*np.meshgrid(np.arange(640), np.arange(480))) + 0.05
    found = depth_behind_mesh(
        vertices, FACES, CAMERA, depth, np.full((150, 300), 255, np.uint8), ORIGIN)
    assert found.shift == pytest.approx(0.05, abs=1e-4) and found.share == 1


def test_sensors_are_less_exact_far_away_and_where_they_scatter():
    rng = np.random.default_rng(1)
    noisy = measured(image(0.65) + rng.normal(0, 0.01, (480, 640)).astype(np.float32))
    assert abs(noisy.shift - 0.05) < 0.002 and noisy.sigma > 1.02 * measured(image(0.65)).sigma
    vertices, mask = board()
    far = depth_behind_mesh(5 * vertices, FACES, CAMERA, image(3.05), mask, ORIGIN)
    assert far.sigma > 5 * measured(image(0.65)).sigma


def test_the_common_error_of_sensors_grows_with_the_square_of_the_distance():
    vertices, mask = board()
    near, middle, far = (depth_behind_mesh(
        vertices * away / AWAY, FACES, CAMERA, image(away), mask, ORIGIN).sigma
        for away in (0.75, 1.5, 3.0))
    assert far - middle == pytest.approx(4 * (middle - near), rel=1e-3)


def test_errors_that_neighbouring_pixels_share_count_once():
    blocks = np.random.default_rng(0).normal(0, 0.01, (96, 128))
    found = measured((0.65 + np.kron(blocks, np.ones((5, 5)))).astype(np.float32))
    scatter = np.sqrt(found.sigma ** 2 - measured(image(0.65)).sigma ** 2)
    # The deviation of a median of 12 x 12 blocks, of which the outline is left out.
    assert scatter == pytest.approx(1.25 * 0.01 / 11.6, rel=0.1)


@pytest.mark.parametrize('others', [(0.5, 0.56), (0.7, 0.76)])
def test_of_several_surfaces_the_largest_one_is_the_hand(others):
    depth = image(0.63)
    depth[:, :ORIGIN[0] + 17], depth[:, ORIGIN[0] + 43:] = others
    found = measured(depth)
    assert found.shift == pytest.approx(0.03, abs=1e-4)
    assert found.share == pytest.approx(26 / 58)


@pytest.mark.parametrize('kind', [np.float32, np.uint16])
def test_a_hand_that_scatters_is_told_from_smooth_things_that_are_smaller(kind):
    depth = image(0.63) + np.random.default_rng(0).uniform(-0.005, 0.005, (480, 640))
    depth[:, :ORIGIN[0] + 17], depth[:, ORIGIN[0] + 43:] = 0.5, 0.76
    found = measured((depth * (1000 if kind is np.uint16 else 1)).astype(kind))
    assert found.shift == pytest.approx(0.03, abs=0.002) and found.share == pytest.approx(26 / 58)


@pytest.mark.parametrize('part', [np.s_[:, 150:], np.s_[:, :150], np.s_[75:], np.s_[:75]])
def test_of_a_large_mesh_only_what_its_mask_holds_is_measured(part):
    corners = np.array(ORIGIN) - 0.5 + [[0, 0], [300, 0], [300, 150], [0, 150]]
    vertices = CAMERA.unproject(corners, np.full(4, AWAY))
    mask, depth = np.zeros((150, 300), np.uint8), image(0.7)
    mask[part] = 255
    depth[ORIGIN[1]:, ORIGIN[0]:][:150, :300][part] = 0.65
    found = depth_behind_mesh(vertices, FACES, CAMERA, depth, mask, ORIGIN)
    assert found.shift == pytest.approx(0.05, abs=1e-4) and found.share == 1


def test_what_few_pixels_or_a_small_share_of_them_agree_on_is_no_distance():
    assert measured(agreeing(0.6)).shift == pytest.approx(0.03, abs=0.001)
    assert measured(agreeing(0.4)).share < 0.6
    assert measured(agreeing(0.05)) is None
    # 36 pixels of the board are enough for nothing, 64 are.
    assert measured(image(0.65), side=6) is None
    assert measured(image(0.65), side=8).pixels == 64
    holes = np.full((480, 640), np.nan, np.float32)
    assert measured(holes) is None
    holes[ORIGIN[1] + 10:ORIGIN[1] + 15, ORIGIN[0] + 10:ORIGIN[0] + 15] = 0.65
    assert measured(holes) is None


def test_what_is_much_nearer_or_farther_than_the_mesh_is_not_it():
    assert measured(image(1.0)) is None and measured(image(0.2)) is None
    assert measured(image(0.9)).shift == pytest.approx(0.3, abs=1e-4)
    assert measured(image(0.9), reach=0.4) is None


def test_a_mesh_beside_its_mask_is_not_measured():
    vertices, mask = board()
    aside = vertices + [0.3, 0, 0]
    assert depth_behind_mesh(aside, FACES, CAMERA, image(0.65), mask, ORIGIN) is None
    behind = vertices * [1, 1, -1]
    assert depth_behind_mesh(behind, FACES, CAMERA, image(0.65), mask, ORIGIN) is None
    assert depth_behind_mesh(vertices, FACES, CAMERA, image(0.65), 0 * mask, ORIGIN) is None


@pytest.mark.parametrize('shape', [(1, 250), (250, 1)])
def test_a_mask_as_thin_as_a_pixel_is_measured_along_it(shape):
    vertices, _ = board(250)
    mask = np.full(shape, 255, np.uint8)
    found = depth_behind_mesh(vertices, FACES, CAMERA, image(0.65), mask, ORIGIN)
    assert found.shift == pytest.approx(0.05, abs=1e-4) and found.pixels > 90


def test_millimetres_and_metres_are_told_by_the_type_and_holes_are_not_a_number():
    whole = metres(np.array([[0, 650]], np.uint16))
    assert whole.dtype == np.float32 and np.isnan(whole[0, 0])
    assert whole[0, 1] == pytest.approx(0.65)
    for kind in (np.float32, np.float64):
        given = np.array([[0.65, 0.0, -1.0, np.inf, np.nan]], kind)
        result = metres(given)
        assert result[0, 0] == pytest.approx(0.65) and np.isnan(result[0, 1:]).all()
        assert given[0, 2] == -1  # what was given stays as it is


def test_depth_that_is_none_is_refused():
    with pytest.raises(ValueError, match='uint16'):
        metres(np.zeros((4, 4), np.int32))
    with pytest.raises(ValueError, match='shape'):
        metres(np.zeros((4, 4, 1), np.float32))
