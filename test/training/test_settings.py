"""Settings: read, changed on the command line, written, and refused with a reason."""

import pytest
import torch

from hiu_ros import cli
from hiu_ros.training.loop import Trainer
from hiu_ros.training.losses import LossWeights
from hiu_ros.training.settings import CONFIGURATIONS, SettingsError, as_yaml, read_settings

SHIPPED = sorted(path.stem for path in CONFIGURATIONS.glob('*.yaml'))


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_settings_survive_being_written(name, tmp_path):
    settings = read_settings(name)
    path = tmp_path / 'again.yaml'
    path.write_text(as_yaml(settings))
    assert read_settings(str(path)) == settings
    settings.network_config()


def test_shipped_are_the_three_of_the_documentation():
    assert SHIPPED == ['lite_open', 'paper_freihand', 'smoke']


def test_paper_settings_are_those_of_the_specification():
    s = read_settings('paper_freihand')
    assert s.network_config().stages == 4 and s.network_config().name == 'hiu_dmtl'
    assert (s.rate, s.weight_decay, s.batch, s.clip) == (1e-3, 1e-5, 24, 10.0)
    assert (s.optimiser, s.schedule, s.warmup, s.seed) == ('adam', 'poly', 0, 2020)
    assert s.steps == pytest.approx(33 * 4 * 32560 / (8 * 24), abs=1)
    w = s.loss
    assert w == LossWeights()
    assert (s.self_supervision.keypoints_2d, s.self_supervision.silhouette) == (10, 1)
    assert (w.heatmap, w.pof, w.mask, w.keypoints_2d, w.bones_3d, w.silhouette, w.shape_prior,
            w.pose_angles) == (200, 100, 5, 20, 10, 0.01, 10, 10)
    assert s.sigmas[0] == pytest.approx(16 / 368, rel=1e-3)
    assert s.data.sets[0].name == 'freihand' and s.data.negative_share == 0


def test_changes_reach_every_depth():
    s = read_settings('paper_freihand', [
        'steps=7', 'data.sets.0.root=/data/x', 'network_changes.stages=2', 'rate=5e-4',
        'self_supervision.keypoints_2d=10', 'data.scale=[1, 2]', 'hand='])
    assert s.steps == 7 and s.data.sets[0].root == '/data/x' and s.rate == 5e-4
    assert s.network_config().stages == 2 and s.self_supervision.keypoints_2d == 10.0
    assert s.data.scale == (1, 2)


def test_data_sets_can_be_given_on_the_command_line():
    s = read_settings('smoke', ['data.sets=[{name: rhd, root: /data/rhd, share: 0.5}]'])
    assert s.data.sets[0].share == 0.5 and s.data.sets[0].options == {}


@pytest.mark.parametrize('change, message', [
    ('speed=3', "unknown setting \\['speed'\\]"), ('loss.speed=3', "unknown loss \\['speed'\\]"),
    ('steps', 'is no change'), ('steps=fast', "steps is 'fast'"), ('steps=0', 'at least 1'),
    ('batch=1', 'at least 2'), ('schedule=staircase', 'poly'), ('precision=int8', 'bfloat16'),
    ('sigmas=3', r'expected a list, such as sigmas=\[3\]'), ('run=', 'run is empty'),
    ('sigmas=[]', 'positive'), ('ema=1.0', 'below 1'),
    ('loss.pof=much', 'expected a number'), ('rate=.nan', 'expected a finite number'),
    ('tensorboard=3', 'expected bool'),
    ('data.sets.3.root=x', 'leads nowhere'), ('steps.more=3', 'leads nowhere'),
    ('data.sets=[{name: rhd}]', 'needs name and root'),
    ('self_supervision.pof_stop=all', "pof_stop is 'all'"),
    ('data=5', 'data is 5, expected key: value'), ('data.sets=[1]', 'data.sets.0 is 1, expected'),
    ('data.sets=[{name: rhd, root: 3}]', 'data.sets.0.root is 3, expected str'),
    ('data.sets=[{name: a, root: b, weight: 1}]', "unknown data.sets.0 \\['weight'\\]"),
    ('data.scale=[1.5]', 'data.scale is .*expected a list of 2'),
    ('data.scale=[1.5', "'data.scale=\\[1.5' is no YAML"), ('data.scale=[2, 1]', 'smaller one'),
    ('sigmas=[a]', "sigmas.0 is 'a', expected a number"), ('loss.pof=yes', 'expected float'),
    ('data.renders=[3]', 'data.renders.0 is 3, expected str'),
    ('validation.hands=0', 'validation.hands is 0, expected at least 1'),
    ('rate=0', 'rate is 0.0, expected above 0'), ('clip=-1', 'clip is -1.0, expected above 0'),
    ('data.arm_share=1.5', 'arm_share is 1.5, expected at most 1'),
    ('data.arm_share=-0.1', 'arm_share is -0.1, expected at least 0'),
    ('data.sets=[{name: rhd, root: R, share: -1}]', 'share of rhd is -1.0, expected at least 0'),
    ('data.made_renders=-3', 'made_renders is -3, expected at least 0'),
    ('pictures=-1', 'pictures is -1, expected at least 0'),
    ('validation.training_renders=true', 'without renders to train on; give data.renders'),
    ('data.more_photos=[x]', 'more_photos is given, but photos'),
])
def test_illegal_changes_are_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        read_settings('paper_freihand', [change])


def test_shares_of_the_mix_are_in_proportion_to_each_other():
    assert read_settings('lite_open', ['data.photo_share=3']).data.photo_share == 3


def test_unknown_configuration_lists_the_shipped_ones(capsys):
    assert cli.main(['train', 'lite_closed']) == 2
    assert 'lite_open' in capsys.readouterr().err


def test_file_that_is_no_mapping(tmp_path):
    path = tmp_path / 'list.yaml'
    path.write_text('- 1\n- 2\n')
    with pytest.raises(SettingsError, match='holds a list'):
        read_settings(str(path))


def test_broken_file_is_one_line_that_names_it(tmp_path, capsys):
    path = tmp_path / 'broken.yaml'
    path.write_text('steps: [1\n')
    assert cli.main(['train', str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'hiu train: {path} is no YAML') and error.count('\n') == 1


def test_what_is_set_reaches_loss_optimiser_and_average(tiny_settings):
    trainer = Trainer(tiny_settings(
        'sigmas=[0.07, 0.05]', 'sigma_factor=2', 'sigma_steps=30', 'stage_weights=[1, 3]',
        'pof_variant=space', 'loss.side=0.7', 'self_supervision.pof=0.2', 'weight_decay=0.3',
        'ema=0.6', 'seed=5'))
    loss = trainer.loss
    assert (loss.sigmas, loss.widening, loss.stage_weights) == ((0.07, 0.05), (2, 30), (1, 3))
    assert loss.pof_variant == loss.agreement.pof_variant == 'space'
    assert loss.weights.side == 0.7 and loss.self_supervision.pof == 0.2
    assert {group['weight_decay'] for group in trainer.optimiser.param_groups} == {0.3}
    assert trainer.average.decay == 0.6
    weights = [next(one.network.parameters()).detach() for one in (
        trainer, Trainer(tiny_settings('seed=5')), Trainer(tiny_settings('seed=6')))]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize('precision, kinds', [
    ('float32', {torch.float32}), ('bfloat16', {torch.bfloat16})])
def test_layers_are_computed_in_the_precision_asked_for(tiny_settings, precision, kinds):
    trainer = Trainer(tiny_settings(f'precision={precision}'))
    seen = set()
    for layer in trainer.network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, given, made: seen.add(made.dtype))
    trainer.train_step(next(iter(trainer.batches())))
    assert seen == kinds
