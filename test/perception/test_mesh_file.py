import numpy as np
import pytest

from hiu_ros.hand.model import load_template
from hiu_ros.perception.mesh_file import write_mesh

CORNERS = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.05, 0], [0, 0.05, -0.0123456]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def read_obj(path):
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith('#')]
    return (np.array([row[1:] for row in rows if row[0] == 'v'], float),
            np.array([row[1:] for row in rows if row[0] == 'f'], int))


def test_both_formats_hold_the_same_mesh(tmp_path):
    write_mesh(tmp_path / 'a.npz', CORNERS, FACES)
    write_mesh(tmp_path / 'a.obj', CORNERS, FACES)
    with np.load(tmp_path / 'a.npz') as mesh:
        np.testing.assert_array_equal(mesh['vertices'], CORNERS)
        np.testing.assert_array_equal(mesh['faces'], FACES)
        assert mesh['faces'].dtype == np.int32
    vertices, faces = read_obj(tmp_path / 'a.obj')
    np.testing.assert_allclose(vertices, CORNERS, atol=1e-6)
    np.testing.assert_array_equal(faces - 1, FACES)


def test_an_obj_of_a_hand_keeps_its_size_and_which_side_is_out(tmp_path):
    hand = load_template('fast')
    points, triangles = np.asarray(hand.vertices), np.asarray(hand.faces)
    write_mesh(tmp_path / 'hand.obj', points, triangles)
    vertices, faces = read_obj(tmp_path / 'hand.obj')

    def volume(points, triangles):
        a, b, c = (points[triangles[:, k]] - points.mean(0) for k in range(3))
        return (np.cross(a, b) * c).sum() / 6

    assert volume(vertices, faces - 1) == pytest.approx(volume(points, triangles), rel=1e-3)
    assert volume(points, triangles) > 1e-4  # a tenth of a litre at least, its faces outward


def test_other_endings_and_what_cannot_be_written_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"'.stl', expected .npz or .obj"):
        write_mesh(tmp_path / 'a.stl', CORNERS, FACES)
    for name in ('a.npz', 'a.obj'):
        with pytest.raises(OSError, match='nowhere'):
            write_mesh(tmp_path / 'nowhere' / name, CORNERS, FACES)
