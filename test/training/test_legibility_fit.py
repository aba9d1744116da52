"""The fit of what tells right readings from others."""

import numpy as np
import pytest
import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.config import preset
from hiu_ros.network.finder import Finder, FinderConfig, save_finder
from hiu_ros.network.hiu import HIU
from hiu_ros.training import legibility_fit
from hiu_ros.training.legibility_fit import believed, fit, judged, main, weigh
from hiu_ros.training.readings import Readings


def made(count, seed, width=12, scale=1.0):
    """Readings whose first two inputs tell together whether they are right."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(3.0, 1.0, (count, width))
    hand = (inputs[:, 0] - 3) * (inputs[:, 1] - 3) + 0.1 * rng.normal(size=count) > 0
    return Readings((scale * inputs).astype(np.float16), hand, rng.random(count) < 0.7,
                    np.full(count, 0.5, np.float32))


def right(head, readings):
    return float(np.mean((judged(head, readings) >= 0.5) == readings.hand))


@pytest.mark.parametrize('scale', [0.2, 30.0])
def test_what_no_line_divides_is_told_apart_whatever_its_scale(scale):
    head = fit(made(6000, 0, scale=scale), np.ones(6000))
    assert right(head, made(1000, 1, scale=scale)) > 0.85


def test_the_same_seed_gives_the_same_and_the_weights_count():
    some = made(1500, 0)
    heads = [fit(some, weight) for weight in (weigh(some), weigh(some), np.ones(1500))]
    said = [judged(head, some) for head in heads]
    assert (said[0] == said[1]).all()
    # Weighed, what is none counts more than what is.
    assert said[0].mean() < said[2].mean() - 0.05


def test_what_is_believed_is_told_of_followed_and_of_found_ones():
    readings = Readings(np.zeros((5, 1), np.float16), np.array([1, 1, 0, 0, 1], bool),
                        np.array([1, 1, 1, 0, 0], bool), np.zeros(5))
    words = believed(np.array([0.9, 0.1, 0.2, 0.7, 0.5]), readings)
    assert words == ('followed: 0.5000 of 2 hands, 0.0000 of 1 other things; '
                     'found: 1.0000 of 1 hands, 1.0000 of 1 other things')


def test_the_command_goes_on_with_what_is_kept_and_writes_the_weights(tmp_path, capsys):
    network = HIU(preset('hiu_lite', input_size=64)).eval()
    width = network.regressor.add_legibility()[0].in_features
    network.regressor.legibility = None
    network.add_fine_mask()
    checkpoint.save(tmp_path / 'w.safetensors', network, {'step': 7})
    for seed in range(5000, 5006):
        made(300, seed, width).save(tmp_path / 'keep' / f'video_{seed}.npz')
    main([str(tmp_path / 'w.safetensors'), str(tmp_path / 'out.safetensors'), '--keep',
          str(tmp_path / 'keep'), '--videos', '6', '--storage', 'full', '--device', 'cpu'])
    out = capsys.readouterr().out
    assert 'held-back videos, fitted: followed' in out and '1800 readings' in out
    fitted = checkpoint.load(tmp_path / 'out.safetensors')
    assert fitted.predict(torch.zeros(1, 3, 64, 64)).legible.shape == (1, 1)
    assert fitted.fine_mask is not None  # what was fitted before is kept
    assert checkpoint.read_header(tmp_path / 'out.safetensors').notes == {
        'step': 7, 'readings': 1800}
    with pytest.raises(SystemExit):
        main(['/nowhere.safetensors', 'o', '--keep', str(tmp_path / 'keep')])
    assert 'does not exist' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['hiu_lite', 'o', '--keep', str(tmp_path / 'keep'), '--videos', '1'])
    assert 'expected 5 or more' in capsys.readouterr().err
    assert legibility_fit.VIDEOS >= 100


def test_what_other_weights_read_is_not_fitted_to(tmp_path, capsys):
    files = [tmp_path / f'{k}.safetensors' for k in range(2)]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        network = HIU(preset('hiu_lite', input_size=64)).eval()
        width = network.regressor.add_legibility()[0].in_features
        network.regressor.legibility = None
        checkpoint.save(file, network, {}, 'bytes')
    keep = tmp_path / 'keep'
    for seed in range(5000, 5005):
        made(60, seed, width).save(keep / f'video_{seed}.npz')
    out, more = tmp_path / 'out.safetensors', ['--keep', str(keep), '--videos', '5',
                                               '--device', 'cpu']
    main([str(files[0]), str(out), *more])  # from before there was a note
    main([str(out), str(tmp_path / 'again.safetensors'), *more])  # what it wrote
    with pytest.raises(SystemExit) as stop:
        main([str(files[1]), str(out), *more])
    error = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2
    assert f'{keep} holds what other weights than {files[1]} read' in error
    finder = tmp_path / 'finder.safetensors'
    save_finder(finder, Finder(FinderConfig(channels=(8,) * 5)))
    with pytest.raises(SystemExit):
        main([str(files[0]), str(out), *more, '--finder-weights', str(finder)])
    error = capsys.readouterr().err.splitlines()[-1]
    assert f'readings of what another finder than {finder} found' in error


def test_other_photographs_are_read_anew_and_the_same_are_not(tmp_path, monkeypatch):
    network = HIU(preset('hiu_lite', input_size=64)).eval()
    width = network.regressor.add_legibility()[0].in_features
    network.regressor.legibility = None
    weights, out, keep, read = tmp_path / 'w.safetensors', tmp_path / 'o', tmp_path / 'keep', []
    checkpoint.save(weights, network)
    for seed in range(5000, 5005):
        made(60, seed, width).save(keep / f'video_{seed}.npz')

    def of_photos(reader, folder, count, finder):
        read.append((folder.path.name, count))
        return made(60, 0, width)

    monkeypatch.setattr(legibility_fit, 'of_photos', of_photos)
    for name, count in (('a', 9), ('a', 9), ('b', 9), ('a', 9), ('a', 8)):
        photos = tmp_path / name
        photos.mkdir(exist_ok=True)
        (photos / 'labels.jsonl').write_text({'a': '', 'b': '\n'}[name])
        main([str(weights), str(out), '--keep', str(keep), '--videos', '5', '--device', 'cpu',
              '--photos', str(photos), '--count', str(count)])
    assert read == [('a', 9), ('b', 9), ('a', 8)]


def test_missing_photographs_are_told_before_the_videos(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(legibility_fit, 'of_video', lambda *_: pytest.fail('a video was read'))
    with pytest.raises(SystemExit) as stop:
        main(['hiu_lite', 'o', '--keep', str(tmp_path), '--photos', 'nowhere', '--device', 'cpu'])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count('\n') == 1
    assert 'photo folder nowhere does not exist' in error


def test_what_cannot_be_written_is_told_before_the_videos(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(legibility_fit, 'of_video', lambda *_: pytest.fail('a video was read'))
    weights = tmp_path / 'trained.safetensors'
    checkpoint.save(weights, HIU(preset('hiu_lite', input_size=64)).eval(), {})
    before = weights.read_bytes()
    for out, words in ((weights, 'would replace the weights that it is made of'),
                       (tmp_path, 'is a folder')):
        with pytest.raises(SystemExit) as stop:
            main([str(weights), str(out), '--keep', str(tmp_path / 'keep'), '--device', 'cpu'])
        assert stop.value.code == 2 and words in capsys.readouterr().err
    assert weights.read_bytes() == before
