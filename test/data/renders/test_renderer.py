from dataclasses import replace

import numpy as np
import pytest
import torch

from hiu_ros.data.renders.appearance import Light, SkinLibrary
from hiu_ros.data.renders.renderer import Renderer
from hiu_ros.data.renders.scenes import SceneSampler
from hiu_ros.data.renders.stage import HELD, MAIN, Stage, boundary_loop
from hiu_ros.data.renders.things import front_thing
from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template

SIZE = 96


@pytest.fixture(scope='module')
def stage():
    return Stage()


@pytest.mark.filterwarnings('error')
def test_a_stage_is_made_without_warnings_of_pytorch():
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else each comes once a process only
    try:
        Stage()
    finally:
        torch.set_warn_always(before)


@pytest.fixture(scope='module')
def renderer(stage):
    return Renderer(stage, SkinLibrary(None))


@pytest.fixture(scope='module')
def plans(stage):
    sampler = SceneSampler(stage.model)
    return [sampler.sample(np.random.default_rng([7, i])) for i in range(6)]


@pytest.fixture(scope='module')
def tiles(renderer, plans):
    return renderer.tiles(plans, SIZE)


def bare(plan):
    """The same hand with nothing worn, held or in front."""
    dress = replace(plan.dress, sleeve=9.0, glove=False, watch=None, ring=None)
    return replace(plan, second=None, held=None, front=None, dress=dress)


def test_the_lengthened_forearm_is_closed(stage):
    assert len(boundary_loop(load_template('forearm').faces)) > 5
    assert len(boundary_loop(stage.template.faces)) == 0
    a, b, c = (stage.template.vertices[stage.template.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a) * a).sum() > 0
    assert stage.template.vertices[:, 0].max() > 0.3


def test_a_boundary_loop_goes_round(stage):
    faces = load_template('forearm').faces
    loop = boundary_loop(faces)
    edges = {frozenset(e) for f in faces.tolist() for e in zip(f, f[1:] + f[:1])}
    assert len(set(loop.tolist())) == len(loop)
    assert all(frozenset((int(a), int(b))) in edges for a, b in zip(loop, np.roll(loop, -1)))


def test_normals_of_a_hand_point_outwards(stage, renderer, plans):
    posed = renderer.pose([bare(plans[0])])
    normals = stage.normals(posed.welded)[0, stage.slots[MAIN].rows]
    assert torch.allclose(normals.norm(dim=1), torch.ones(len(normals)), atol=1e-4)
    tip = posed.keypoints[0, 12]
    points = posed.welded[0, stage.slots[MAIN].rows]
    near = (points - tip).norm(dim=1) < 0.012
    assert ((points[near] - tip) * normals[near]).sum(1).gt(0).float().mean() > 0.9


def test_labels_are_of_one_kind_and_finite(tiles):
    assert tiles.bgra.shape == (6, SIZE, SIZE, 4) and tiles.bgra.dtype == np.uint8
    assert tiles.mask.shape == (6, SIZE, SIZE)
    assert tiles.visibility.dtype == bool and tiles.visibility.shape == (6, 21)
    for values in (tiles.keypoints_px, tiles.keypoints_m, tiles.camera, tiles.pose, tiles.shape):
        assert np.isfinite(values).all()
    assert tiles.visibility.any(1).all()


def test_keypoints_project_to_their_pixels(tiles):
    seen = tiles.keypoints_m @ tiles.camera.transpose(0, 2, 1)
    assert np.allclose(seen[..., :2] / seen[..., 2:], tiles.keypoints_px, atol=1e-2)
    assert np.allclose(tiles.camera[:, :2, 2], (SIZE - 1) / 2)
    low, high = tiles.keypoints_px.min(1), tiles.keypoints_px.max(1)
    fill = (high - low).max(1) / SIZE
    assert (fill > 0.495).all() and (fill < 0.705).all()
    assert (np.abs((low + high) / 2 - (SIZE - 1) / 2) < 0.1 * SIZE).all()


def test_pose_and_shape_give_the_keypoints_again(tiles):
    model = HandModel(load_template('fast'))
    again = model.keypoints(axis_angle_to_matrix(torch.from_numpy(tiles.pose)),
                            torch.from_numpy(tiles.shape)).numpy()
    assert np.allclose(again + tiles.keypoints_m[:, :1], tiles.keypoints_m, atol=1e-5)


def test_hands_are_of_human_size(stage, plans):
    flat = torch.eye(3).expand(len(plans), 16, 3, 3)
    shapes = torch.from_numpy(np.stack([plan.hand.shape for plan in plans])).float()
    length = stage.model.keypoints(flat, shapes)[:, 12].norm(dim=1)
    assert (length > 0.1499).all() and (length < 0.2201).all()


def test_the_mask_lies_within_what_is_drawn_and_leaves_the_forearm_out(renderer, plans):
    tiles = renderer.tiles([bare(plan) for plan in plans], SIZE)
    alpha = tiles.bgra[..., 3]
    assert (tiles.mask <= alpha).all()
    assert (tiles.mask.sum((1, 2)) > 0.03 * 255 * SIZE * SIZE).all()
    assert (alpha.sum((1, 2), dtype=float) > 1.02 * tiles.mask.sum((1, 2), dtype=float)).any()
    for mask, points, seen in zip(tiles.mask, tiles.keypoints_px, tiles.visibility):
        inner = points[[9, 10, 11]][seen[[9, 10, 11]]].round().astype(int)
        assert (mask[inner[:, 1], inner[:, 0]] > 127).all()


def test_a_thing_in_front_hides_hand_and_keypoints(renderer, plans):
    plan = bare(plans[1])
    free = renderer.tiles([plan], SIZE)
    target = free.keypoints_m[0, 9] - free.keypoints_m[0].mean(0)
    rng = np.random.default_rng(0)
    thing = front_thing(target + [0, 0, plan.distance], rng)
    blocked = renderer.tiles([replace(plan, front=replace(
        thing, vertices=(thing.vertices - thing.vertices.mean(0)) * 2
        + (target + [0, 0, plan.distance]) * 0.7))], SIZE)
    assert np.allclose(free.keypoints_px, blocked.keypoints_px)
    assert blocked.mask.sum(dtype=float) < 0.95 * free.mask.sum(dtype=float)
    assert not blocked.visibility[0, 9]


def test_a_tile_does_not_depend_on_its_neighbours(renderer, plans):
    alone = renderer.tiles([plans[2]], SIZE)
    among = renderer.tiles(plans, SIZE)
    assert np.abs(alone.bgra[0].astype(int) - among.bgra[2]).mean() < 0.05
    assert np.allclose(alone.keypoints_px[0], among.keypoints_px[2], atol=1e-3)


def test_a_lamp_lights_the_side_that_faces_it(renderer, plans):
    plan = bare(plans[0])
    pictures = []
    for x in (-1.0, 1.0):
        lamp = Light(np.zeros((9, 3)), np.array([[x, 0, -0.15], [0, 0, -1]]) / np.hypot(1, 0.15),
                     np.array([[1.0] * 3, [0.0] * 3]), 1.0, 0.0, 10.0)
        picture = renderer.tiles([replace(plan, light=lamp)], SIZE).bgra[0].astype(float)
        pictures.append(picture[..., :3].sum(-1) * (picture[..., 3] > 200))
    columns = np.arange(SIZE)
    centres = [(p.sum(0) * columns).sum() / p.sum() for p in pictures]
    assert centres[0] < centres[1] - 1


def test_held_things_stay_with_the_hand(renderer, stage):
    sampler = SceneSampler(stage.model, held=1.0)
    plans = [sampler.sample(np.random.default_rng([8, i])) for i in range(20)]
    posed = renderer.pose(plans)
    assert posed.present[:, HELD].all()
    things = posed.welded[:, stage.slots[HELD].rows]
    gap = (things[:, :, None] - posed.keypoints[:, None]).norm(dim=-1).amin((1, 2))
    assert (gap < 0.04).all()
