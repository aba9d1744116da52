"""The fit of finer masks: what it learns, what it leaves alone, and going on where it stopped."""

import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from hiu_ros.network import checkpoint
from hiu_ros.network.hiu import HIU
from hiu_ros.training import mask_fit
from hiu_ros.training.mask_fit import MaskFit, MaskFitSettings, fit_terms, main
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.state import StateError


@pytest.fixture
def weights(tmp_path, network: HIU):
    network.regressor.add_legibility()
    checkpoint.save(tmp_path / 'w.safetensors', network.eval(), {'step': 7}, 'bytes')
    return tmp_path / 'w.safetensors'


def settings(weights, folder, bank, **changes) -> MaskFitSettings:
    values = {'steps': 6, 'batch': 4, 'threads': 1, 'workers': 0, 'log_every': 2,
              'save_every': 3, 'device': 'cpu'} | changes
    return MaskFitSettings(weights, folder, MixOptions(renders=(str(bank),)), **values)


def test_the_truth_lacks_nothing_and_each_fault_has_its_term(mixed_batch):
    batch = mixed_batch
    batch.masks = (batch.masks > 0.5).float()
    truth = torch.logit(batch.masks, 1e-4)[:, None]
    terms = fit_terms(truth, batch)
    assert terms['overlap'] < 0.05
    for wrong in (-truth, torch.zeros_like(truth)):
        for name, term in fit_terms(wrong, batch).items():
            assert term > terms[name] + 0.2, name


def test_masks_become_better_and_all_else_stays(weights, tmp_path, bank):
    fit = MaskFit(settings(weights, tmp_path / 'run', bank, steps=40, batch=8, rate=2e-2,
                           log_every=10))
    before = fit_terms(torch.zeros(16, 1, 4, 4), _batch(fit))
    assert fit.run()
    fit.write(tmp_path / 'out.safetensors', 'bytes')
    after = checkpoint.load(tmp_path / 'out.safetensors')
    with torch.inference_mode():
        batch = _batch(fit)
        terms = fit_terms(after(batch.images)[-1].fine_mask, batch)
    assert terms['overlap'] < 0.95 * before['overlap']
    old, new = load_file(weights), load_file(tmp_path / 'out.safetensors')
    assert old.keys() < new.keys()
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    assert checkpoint.read_header(tmp_path / 'out.safetensors').notes == {
        'step': 7, 'mask_steps': 40}


def test_going_on_begins_with_the_masks_that_the_weights_have(weights, tmp_path, bank):
    with pytest.raises(StateError, match=r'w\.safetensors has no FineMask to go on fitting'):
        MaskFit(settings(weights, tmp_path / 'none', bank, go_on_fitting=True))
    first = MaskFit(settings(weights, tmp_path / 'first', bank))
    assert first.run()
    first.write(tmp_path / 'first.safetensors', 'full')
    fitted = checkpoint.load(tmp_path / 'first.safetensors').fine_mask.state_dict()
    more = MaskFit(settings(tmp_path / 'first.safetensors', tmp_path / 'more', bank, steps=2,
                            go_on_fitting=True))
    assert all(torch.equal(value, fitted[name])
               for name, value in more.part.state_dict().items())
    assert more.run()
    more.write(tmp_path / 'more.safetensors', 'full')
    went_on = checkpoint.load(tmp_path / 'more.safetensors').fine_mask.state_dict()
    assert not all(torch.equal(value, fitted[name]) for name, value in went_on.items())
    assert checkpoint.read_header(tmp_path / 'more.safetensors').notes['mask_steps'] == 8


@pytest.mark.parametrize('go_on, begun', [(False, 'without'), (True, 'with')])
def test_a_fit_that_was_begun_otherwise_is_not_gone_on_with(weights, tmp_path, bank, go_on, begun):
    network = checkpoint.load(weights)
    network.add_fine_mask()
    checkpoint.save(weights, network, {}, 'full')
    assert MaskFit(settings(weights, tmp_path / 'run', bank, steps=1, go_on_fitting=go_on)).run()
    with pytest.raises(StateError, match=f'was begun {begun} --go-on-fitting'):
        MaskFit(settings(weights, tmp_path / 'run', bank, steps=1, go_on_fitting=not go_on))


def _batch(fit):
    from hiu_ros.training.batch import collate
    from hiu_ros.training.mix import HandMix

    mix = HandMix(fit.settings.data, 64, seed=99)
    return collate([mix[k] for k in range(16)]).to('cpu')


def test_a_fit_that_was_stopped_ends_as_one_that_was_not(weights, tmp_path, bank, monkeypatch):
    whole = MaskFit(settings(weights, tmp_path / 'whole', bank))
    assert whole.run()
    part = MaskFit(settings(weights, tmp_path / 'part', bank))
    step = part.train_step

    def stopping(batch):
        if part.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch)

    monkeypatch.setattr(part, 'train_step', stopping)
    assert not part.run() and part.step == 4
    again = MaskFit(settings(weights, tmp_path / 'part', bank))
    assert again.step == 4 and again.run()
    for name, value in whole.average.module.state_dict().items():
        assert torch.equal(value, again.average.module.state_dict()[name]), name
    assert len((tmp_path / 'part' / 'log.jsonl').read_text().splitlines()) == 3


def test_a_folder_of_other_weights_is_refused(weights, tmp_path, bank, network):
    assert MaskFit(settings(weights, tmp_path / 'run', bank)).run()
    with torch.no_grad():
        network.regressor.verdict_head.bias += 1
    checkpoint.save(tmp_path / 'other.safetensors', network)
    with pytest.raises(StateError, match='other weights'):
        MaskFit(settings(tmp_path / 'other.safetensors', tmp_path / 'run', bank))


def test_the_command_writes_weights_and_names_what_is_wrong(weights, tmp_path, bank, capsys):
    out = tmp_path / 'out.safetensors'
    arguments = ['--folder', str(tmp_path / 'run'), '--renders', str(bank), '--photo-share', '0',
                 '--steps', '2', '--batch', '2', '--workers', '0', '--device', 'cpu']
    main([str(weights), str(out), *arguments])
    assert 'fitted in 2 steps' in capsys.readouterr().out
    assert checkpoint.load(out).fine_mask is not None
    for wrong, words in (
        ([str(weights), str(weights), *arguments], 'would replace'),
        (['/nowhere.safetensors', str(out), *arguments], 'does not exist'),
        ([str(weights), str(out), *arguments[:2]], 'nothing to train on'),
        ([str(weights), str(out), *arguments, '--steps', '0'], 'steps is 0'),
        ([str(weights), str(out), *arguments, '--photo-share', '1.5'], '--photo-share is 1.5'),
    ):
        with pytest.raises(SystemExit):
            main(wrong)
        error = capsys.readouterr().err
        assert words in error and 'Traceback' not in error
    assert mask_fit._DATA.renders == ()
