"""Losses: zero for the truth, blind to what has no label, and of use to the network."""

from dataclasses import fields, replace
from functools import partial

import pytest
import torch

from hiu_ros.network.hiu import HIU
from hiu_ros.training.batch import Batch
from hiu_ros.training.losses import HandLoss, LossWeights
from hiu_ros.training.self_supervision import SelfSupervision
from hiu_ros.training.targets import heatmap_targets, pof_targets, to_map

ALL_ON = LossWeights(**{f.name: 1.0 for f in fields(LossWeights)})
SELF_ON = SelfSupervision(1.0, 1.0, 1.0, least_certainty=0.0, ramp=0, everywhere=True)
#: Label -> the weights without which it must not matter.
GUARDS = {'keypoints': 'keypoint_weights', 'keypoints_m': 'weights_3d', 'masks': 'mask_weights',
          'rotations': 'parameter_weights', 'shapes': 'shape_weights',
          'presence': 'presence_weights', 'sides': 'side_weights', 'vertices': 'vertex_weights'}


def with_garbage(batch: Batch, seed: int) -> Batch:
    """The batch with other numbers wherever there is no label."""
    generator = torch.Generator().manual_seed(seed)
    changed = {}
    for label, guard in GUARDS.items():
        value, weight = getattr(batch, label), getattr(batch, guard)
        noise = torch.randn(value.shape, generator=generator) * 30
        if label in ('masks', 'presence', 'sides'):
            noise = noise.sigmoid()
        weight = weight.reshape(*weight.shape, *[1] * (value.ndim - weight.ndim))
        changed[label] = torch.where(weight > 0, value, noise)
    return replace(batch, **changed)


def loss_and_gradients(network: HIU, loss: HandLoss, batch: Batch) -> tuple[float, dict]:
    network.zero_grad()
    total, _ = loss(network(batch.images), batch, step=5)
    total.backward()
    return total.item(), {n: p.grad.clone() for n, p in network.named_parameters()}


@pytest.mark.parametrize('variant', ['image', 'space'])
@pytest.mark.parametrize('readout', ['softargmax', 'centre_of_mass'])
def test_mixed_labels_give_finite_losses_and_gradients_everywhere(
        network, hand, variant, readout, mixed_batch):
    loss = HandLoss(hand, ALL_ON, readout, pof_variant=variant, self_supervision=SELF_ON)
    total, gradients = loss_and_gradients(network, loss, mixed_batch)
    assert torch.isfinite(torch.tensor(total))
    assert all(torch.isfinite(g).all() for g in gradients.values())


@pytest.mark.parametrize('variant', ['image', 'space'])
@pytest.mark.parametrize('readout', ['softargmax', 'centre_of_mass'])
def test_what_has_no_label_does_not_matter(network, hand, variant, readout, mixed_batch):
    batch = mixed_batch
    loss = HandLoss(hand, ALL_ON, readout, pof_variant=variant, self_supervision=SELF_ON)
    total, gradients = loss_and_gradients(network, loss, batch)
    other, changed = loss_and_gradients(network, loss, with_garbage(batch, 1))
    assert other == pytest.approx(total, rel=1e-5)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, changed[name], rtol=1e-3, atol=1e-4 * gradient.norm())


@pytest.mark.parametrize('label', GUARDS)
def test_what_has_a_label_matters(network, hand, label, mixed_batch):
    batch = mixed_batch
    value = getattr(batch, label)
    other = replace(batch, **{label: value.roll(1, -1) * 0.5 if value.ndim > 1 else 1 - value})
    loss = HandLoss(hand, ALL_ON, 'softargmax')
    outputs = network(batch.images)
    assert loss(outputs, batch)[0].item() != pytest.approx(loss(outputs, other)[0].item())


def test_hands_are_those_known_to_be_there_and_those_without_labels(mixed_batch):
    assert mixed_batch.hands.tolist() == [1, 1, 1, 0, 1, 1]
    none = torch.zeros(6)
    assert replace(mixed_batch, self_supervised=none).hands.tolist() == [1, 1, 0, 0, 1, 1]


def test_batch_of_nothing_but_unlabelled_hands_has_a_gradient_of_zero_loss(
        network, hand, mixed_batch):
    batch = mixed_batch
    lone = Batch(**{f.name: getattr(batch, f.name)[[2, 2]] for f in fields(Batch)})
    weights = replace(ALL_ON, shape_prior=0.0, pose_prior=0.0, pose_angles=0.0, pof_bones=0.0)
    total, gradients = loss_and_gradients(network, HandLoss(hand, weights, 'softargmax'), lone)
    assert total == 0 and all((g == 0).all() for g in gradients.values())


@pytest.mark.parametrize('variant', ['image', 'space'])
def test_the_truth_has_no_loss(hand, variant, perfect):
    batch, output = perfect(variant)
    loss = HandLoss(hand, ALL_ON, 'centre_of_mass', sigmas=(0.05,), pof_variant=variant)
    _, terms = loss([output], batch)
    # Maps are coarse: silhouettes and masks agree but for the outline.
    limits = {'mask': 0.2, 'mask_boundary': 0.5, 'silhouette': 0.05, 'pof_bones': 0.5,
              'heatmap_2d': 1e-3, 'shape_prior': 10, 'pose_prior': 10, 'pose_angles': 10}
    assert set(terms) == {f.name for f in fields(LossWeights)}
    for name, value in terms.items():
        assert 0 <= value < limits.get(name, 1e-4), (name, value)


def test_size_of_the_hand_is_not_asked_for(hand, perfect):
    batch, output = perfect()
    larger = replace(batch, keypoints_m=batch.keypoints_m * 1.2, vertices=batch.vertices * 1.2)
    for one in (larger, replace(larger, vertices=None)):  # then those of the parameters
        _, terms = HandLoss(hand, ALL_ON, 'centre_of_mass')([output], one)
        assert terms['keypoints_3d'] < 1e-4 and terms['vertices'] < 1e-4


def test_wrist_and_tips_count_more_than_the_joints_between(hand, perfect):
    batch, output = perfect()

    def term(joint: int) -> float:
        moved = batch.keypoints.clone()
        moved[:, joint] += 3
        _, terms = HandLoss(hand, LossWeights(), 'centre_of_mass')(
            [output], replace(batch, keypoints=moved))
        return terms['keypoints_2d'].item()

    assert [term(joint) / term(6) for joint in (0, 5, 7, 8)] == pytest.approx(
        [2.5, 1.7, 1.0, 1.7], rel=1e-3)


def test_labelled_vertices_go_before_those_of_the_parameters(hand, perfect):
    batch, output = perfect()
    moved = replace(batch, vertices=hand(output.rotations, output.shape).vertices + 0.01,
                    vertex_weights=torch.tensor([1.0, 0.0, 0.0]))
    _, terms = HandLoss(hand, ALL_ON, 'centre_of_mass')([output], moved)
    assert terms['vertices'].item() == pytest.approx(0.03 / 3, rel=0.05)


def test_a_hand_shown_as_the_wrong_side_teaches_nothing_parametric(hand, perfect):
    batch, output = perfect()
    wrong = replace(batch, canonical=torch.zeros(3), keypoints_m=batch.keypoints_m * 2 - 0.3,
                    keypoints=batch.keypoints + 9, masks=1 - batch.masks,
                    rotations=batch.rotations.roll(1, 0))
    _, terms = HandLoss(hand, ALL_ON, 'centre_of_mass')([output], wrong)
    for name in ('keypoints_2d', 'bones_3d', 'keypoints_3d', 'vertices', 'rotations',
                 'silhouette', 'pof_bones'):
        assert terms[name] == 0, name


def test_a_crop_without_a_hand_teaches_the_parametric_hand_nothing(hand, perfect):
    batch, output = perfect()
    none = torch.zeros(3)
    empty = replace(batch, presence=none, weights_3d=none, parameter_weights=none,
                    shape_weights=none, vertex_weights=none, masks=batch.masks * 0,
                    keypoint_weights=batch.keypoint_weights * 0)
    _, terms = HandLoss(hand, ALL_ON, 'centre_of_mass')([output], empty)
    for name in ('silhouette', 'pof_bones', 'pose_prior', 'pose_angles'):
        assert terms[name] == 0, name
    assert terms['mask'] > 0 and terms['presence'] > 0


def test_stages_have_their_own_widths_which_narrow(hand, perfect):
    batch, output = perfect()

    def heat(sigmas, step=0, widening=(1.0, 0)):
        loss = HandLoss(hand, LossWeights(), 'centre_of_mass', sigmas, widening=widening)
        return loss([output] * 2, batch, step)[1]['heatmap'].item()

    assert heat((0.09, 0.05)) < 1e-8 < heat((0.05, 0.09))
    assert heat((0.05,), step=0, widening=(2.0, 10)) > heat((0.05,), 5, (2.0, 10)) > 1e-6
    assert heat((0.05,), step=10, widening=(2.0, 10)) < 1e-8


def test_widths_that_narrow_are_compiled_once(hand, perfect, monkeypatch):
    made, compile_ = [], torch.compile

    def backend(graph, _):
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, 'compile', partial(compile_, backend=backend, fullgraph=True))
    batch, output = perfect()
    plain, fused = (HandLoss(hand, LossWeights(silhouette=0), 'centre_of_mass', (0.09, 0.05),
                             widening=(2.0, 10)) for _ in range(2))
    fused.compile()
    for step in range(4):
        total, wanted = fused([output] * 2, batch, step)[0], plain([output] * 2, batch, step)[0]
        assert total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert len(made) == 3  # pose, map_terms and hand_terms


def test_maps_may_differ_in_resolution(hand, perfect):
    batch, output = perfect()
    size = 32
    points = to_map(batch.keypoints, 64, size)
    other = output._replace(heatmaps=heatmap_targets(points, size, 0.05 * size))
    loss = HandLoss(hand, ALL_ON, 'centre_of_mass', (0.05,), self_supervision=SELF_ON)
    _, same = loss([output], batch, step=5)
    _, terms = loss([other], batch, step=5)
    assert terms['heatmap'] < 1e-6
    for name in ('pof', 'mask', 'pof_bones', 'self_pof', 'heatmap_2d'):
        assert terms[name].item() == pytest.approx(same[name].item(), abs=0.03), name


def test_stage_weights_share_the_total(hand, perfect):
    batch, output = perfect()
    bad = output._replace(heatmaps=output.heatmaps * 0)
    totals = [HandLoss(hand, LossWeights(), 'centre_of_mass', (0.05,), weights)(
        [bad, output], batch)[0].item() for weights in ((1.0, 1.0), (3.0, 1.0), (1.0,))]
    assert totals[1] > totals[0] == totals[2]
    for stages in ([bad], [bad, bad]):
        total, terms = HandLoss(hand, LossWeights(), 'centre_of_mass', (0.05,), (3.0, 1.0))(
            stages, batch)
        own = sum(getattr(LossWeights(), name) * term for name, term in terms.items())
        assert total.item() == pytest.approx(own.item(), rel=1e-5)


def test_pose_terms_spare_the_flat_hand_and_the_wrist(hand, perfect):
    batch, output = perfect()
    flat = torch.eye(3).repeat(3, 16, 1, 1)
    flat[:, 0] = output.rotations[:, 0]
    loss = HandLoss(hand, ALL_ON, 'centre_of_mass')
    _, rest = loss([output._replace(rotations=flat)], batch)
    _, bent = loss([output], batch)
    for name in ('pose_prior', 'pose_angles'):
        assert rest[name] < 1e-6 < bent[name]


@pytest.mark.parametrize('variant', ['image', 'space'])
def test_field_term_is_the_squared_difference_to_the_drawn_field(hand, perfect, variant):
    batch, output = perfect(variant)
    loss = HandLoss(hand, ALL_ON, 'centre_of_mass', pof_variant=variant)
    size = output.pof.shape[-1]
    directions, inside = pof_targets(
        to_map(batch.keypoints, batch.images.shape[-1], size), batch.keypoints_m, size, variant)
    guess = torch.randn(output.pof.shape, generator=torch.Generator().manual_seed(3))
    square = (guess - output.pof).square().unflatten(1, (20, 3))
    within = (square * inside[:, :, None]).sum((3, 4)) / inside.sum((2, 3)).clamp_min(1)[..., None]
    terms = loss.pof_terms(guess, directions, inside, batch)
    for term, wanted in zip(terms, (square.mean(), within.mean())):
        assert term.item() == pytest.approx(wanted.item(), rel=1e-4)
