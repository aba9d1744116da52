"""The template of the hand: an open skinned mesh, its texture, and what is no template."""

import numpy as np
import pytest

from hiu_ros.hand.model import load_template
from hiu_ros.hand.template import DETAILS, read_template


@pytest.fixture(scope='module', params=DETAILS)
def template(request):
    return load_template(request.param)


def test_a_template_is_a_skinned_open_mesh(template):
    assert template.side == 'right'
    np.testing.assert_allclose(template.weights.sum(1), 1, atol=1e-5)
    assert template.weights.min() >= 0
    np.testing.assert_array_equal(np.unique(template.faces), np.arange(len(template.vertices)))
    edges = np.sort(np.concatenate([template.faces[:, [i, (i + 1) % 3]] for i in range(3)]))
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert uses.max() == 2
    assert 10 <= (uses == 1).sum() <= 20
    # One disc: Euler's number is 1, so there is one open loop, at the wrist or forearm.
    assert len(template.vertices) - len(uses) + len(template.faces) == 1


def test_faces_look_outwards(template):
    corners = template.vertices[template.faces]
    volume = np.einsum('fa,fa->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 1e-4 < volume < 2e-3  # cubic metres


def test_uv_stays_in_the_picture():
    for detail in ('render', 'forearm'):
        template = load_template(detail)
        assert template.uv_faces.max() < len(template.uv)
        assert template.uv.min() >= 0
        assert template.uv.max() <= 1


def test_the_details_share_joints_and_shapes():
    first, *others = (load_template(detail) for detail in DETAILS)
    for other in others:
        for field in ('joints', 'tips', 'joint_dirs', 'tip_dirs'):
            np.testing.assert_array_equal(getattr(other, field), getattr(first, field))
    render, forearm = others
    hand = len(render.vertices)
    np.testing.assert_array_equal(forearm.vertices[:hand], render.vertices)
    np.testing.assert_array_equal(forearm.faces[forearm.face_part == 0], render.faces)
    assert forearm.weights[hand:, 0].min() > 0.999
    assert forearm.vertices[:, 0].max() > 0.15


def test_unknown_and_damaged_templates_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown detail 'huge'; choose one of fast"):
        load_template('huge')
    with pytest.raises(FileNotFoundError, match='none.npz does not exist'):
        read_template(tmp_path / 'none.npz')
    np.savez(tmp_path / 'half.npz', v=np.zeros((3, 3)), f=np.zeros((1, 3), int))
    with pytest.raises(ValueError, match='half.npz is no hand template: it lacks w, J'):
        read_template(tmp_path / 'half.npz')
