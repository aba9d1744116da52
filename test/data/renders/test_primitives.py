import numpy as np
import pytest

from hiu_ros.data.renders import primitives


@pytest.mark.parametrize('kind', primitives.KINDS)
def test_things_are_closed_and_turn_their_outside_out(kind):
    half = np.array([0.02, 0.03, 0.07])
    vertices = primitives.build(kind, half, np.random.default_rng(0))
    assert vertices.shape == (primitives.VERTEX_COUNT, 3)
    assert (np.abs(vertices) <= half * 1.2 + 1e-9).all()
    a, b, c = (vertices[primitives.faces()[:, k]] for k in range(3))
    volume = (np.cross(b - a, c - a) * a).sum() / 6
    assert 0 < volume < 8 * half.prod() * 1.1


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match='teapot'):
        primitives.build('teapot', np.ones(3), np.random.default_rng(0))
