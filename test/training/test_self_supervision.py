"""Terms without labels: agreement is cheap, doubt counts nothing, gradients stop on demand."""

from dataclasses import fields, replace

import pytest
import torch

from hiu_ros.network.hiu import StageOutput
from hiu_ros.training.losses import JOINT_WEIGHTS, HandLoss, LossWeights
from hiu_ros.training.self_supervision import Agreement, SelfSupervision
from hiu_ros.training.silhouettes import Silhouettes

TERMS = ('self_keypoints_2d', 'self_silhouette', 'self_pof')
NO_LABELS = LossWeights(**{f.name: 0.0 for f in fields(LossWeights)})


def agreement(hand, variant='image', **options) -> Agreement:
    options = SelfSupervision(10.0, 1.0, 1.0, **options)
    return Agreement(options, 'centre_of_mass', variant, Silhouettes(hand.faces),
                     torch.tensor(JOINT_WEIGHTS))


def terms_of(hand, output: StageOutput, hands=None, **options) -> dict[str, torch.Tensor]:
    hands = torch.ones(len(output.mask)) if hands is None else hands
    posed = hand(output.rotations, output.shape)
    return agreement(hand, **options)(output, posed, hands)


def elsewhere(output: StageOutput) -> StageOutput:
    """The same maps with another hand: moved, and turned about x."""
    turn = torch.tensor([[1.0, 0, 0], [0, 0.5, -0.866], [0, 0.866, 0.5]])
    rotations = output.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return output._replace(camera=output.camera + torch.tensor([0, 0.2, 0.1]),
                           rotations=rotations)


@pytest.mark.parametrize('variant', ['image', 'space'])
def test_agreement_costs_little_and_disagreement_much(hand, perfect, variant):
    _, output = perfect(variant, 128)
    good = terms_of(hand, output, variant=variant)
    bad = terms_of(hand, elsewhere(output), variant=variant)
    assert good['self_keypoints_2d'] < 0.01 and good['self_silhouette'] < 0.05
    assert good['self_pof'] < 0.1
    for name in TERMS:
        assert bad[name] > 3 * good[name], name
    assert good['self_share'] == 1


@pytest.mark.parametrize('stop, maps, mesh', [('maps', False, True), ('mesh', True, False),
                                              ('none', True, True)])
def test_gradients_stop_where_they_are_told(hand, perfect, stop, maps, mesh):
    _, output = perfect()
    parts = {name: getattr(elsewhere(output), name).clone().requires_grad_()
             for name in ('heatmaps', 'pof', 'mask', 'rotations', 'camera')}
    stops = {f'{name}_stop': stop for name in ('keypoints_2d', 'silhouette', 'pof')}
    terms = terms_of(hand, output._replace(**parts), **stops)
    for term, seen, drawn in (('self_keypoints_2d', 'heatmaps', 'camera'),
                              ('self_silhouette', 'mask', 'camera'),
                              ('self_pof', 'pof', 'rotations')):
        gradients = [g is not None and bool(g.abs().max() > 0) for g in torch.autograd.grad(
            terms[term], [parts[seen], parts[drawn]], retain_graph=True, allow_unused=True)
        ] if terms[term].requires_grad else [False, False]
        assert gradients == [maps, mesh], term


def test_uncertain_maps_count_nothing(hand, perfect):
    _, output = perfect()
    doubtful = elsewhere(output)._replace(
        heatmaps=output.heatmaps * 0.3, mask=output.mask * 1e-3)
    terms = terms_of(hand, doubtful)
    assert all(terms[name] == 0 for name in TERMS) and terms['self_share'] == 0
    terms = terms_of(hand, doubtful, least_certainty=0.0)
    assert terms['self_keypoints_2d'] > 0 and terms['self_share'] == 1


def test_a_field_that_says_nothing_counts_nothing(hand, perfect):
    _, output = perfect()
    assert terms_of(hand, elsewhere(output)._replace(pof=output.pof * 0.01))['self_pof'] == 0


def test_masks_of_nearly_nothing_or_everything_are_no_hands(hand, perfect):
    _, output = perfect()
    for logit in (-9.0, 9.0):
        blank = elsewhere(output)._replace(mask=torch.full_like(output.mask, logit))
        assert terms_of(hand, blank)['self_silhouette'] == 0


def test_crops_without_weight_are_left_out(hand, perfect):
    _, output = perfect()
    bad = elsewhere(output)
    mixed = StageOutput(*(torch.cat([g[:1], b[1:]]) for g, b in zip(output, bad)))
    only_good = terms_of(hand, mixed, hands=torch.tensor([1.0, 0, 0]))
    only_bad = terms_of(hand, mixed, hands=torch.tensor([0.0, 1, 1]))
    assert all(only_bad[name] > 3 * only_good[name] for name in TERMS)
    none = terms_of(hand, mixed, hands=torch.zeros(3))
    assert all(none[name] == 0 for name in TERMS)


def test_weights_ramp_up_after_the_supervised_start(hand, perfect):
    batch, output = perfect()
    batch = replace(batch, self_supervised=torch.ones(3))
    options = SelfSupervision(keypoints_2d=10.0, start=10, ramp=4, least_certainty=0.0)
    loss = HandLoss(hand, NO_LABELS, 'centre_of_mass', self_supervision=options)
    totals = [loss([elsewhere(output)], batch, step) for step in (0, 9, 10, 11, 13, 50)]
    values = torch.tensor([float(total) for total, _ in totals])
    assert torch.allclose(values / values[-1], torch.tensor([0, 0, 0.25, 0.5, 1, 1.0]))
    assert 'self_keypoints_2d' not in totals[1][1] and 'self_keypoints_2d' in totals[2][1]


def test_labelled_hands_take_part_only_on_demand(hand, perfect):
    batch, output = perfect()
    totals = []
    for everywhere in (False, True):
        options = SelfSupervision(keypoints_2d=10.0, ramp=0, everywhere=everywhere)
        loss = HandLoss(hand, NO_LABELS, 'centre_of_mass', self_supervision=options)
        totals.append(float(loss([elsewhere(output)], batch)[0]))
    assert totals[0] == 0 < totals[1]
    # What is shown as the wrong side has no parametric hand that could agree.
    wrong = replace(batch, self_supervised=torch.ones(3), canonical=torch.zeros(3))
    assert loss([elsewhere(output)], wrong)[0] == 0


def test_unknown_stop_is_refused():
    with pytest.raises(ValueError, match="self_supervision.pof_stop is 'both'"):
        SelfSupervision(pof_stop='both')


def test_off_by_default():
    assert not SelfSupervision().on and SelfSupervision().share(10**6) == 0


def test_following_the_silhouette_moves_the_hand_onto_the_mask(hand, perfect):
    """Gradient steps on the camera alone bring a hand that is 10 px off back."""
    _, output = perfect(size=128)
    camera = (output.camera + torch.tensor([0, 0.15, 0])).requires_grad_()
    posed = hand(output.rotations, output.shape)
    optimiser = torch.optim.Adam([camera], 0.02)
    agree = agreement(hand)
    for _ in range(25):
        terms = agree(output._replace(camera=camera), posed, torch.ones(3))
        optimiser.zero_grad()
        terms['self_silhouette'].backward()
        optimiser.step()
    assert (camera - output.camera)[:, 1].abs().max() < 0.05
