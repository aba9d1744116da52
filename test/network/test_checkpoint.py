"""Weights files: what is written is read back, and what is wrong is named."""

import json
import os
import pickle

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hiu_ros import cli
from hiu_ros.network import checkpoint, packing
from hiu_ros.network.checkpoint import (
    CheckpointError,
    load,
    load_into,
    read_header,
    save,
    write,
)
from hiu_ros.network.config import preset
from hiu_ros.network.finder import load_finder, save_finder
from hiu_ros.network.hiu import HIU


@pytest.fixture
def small_kernels_too(monkeypatch):
    monkeypatch.setattr(packing, 'LEAST', 256)


@pytest.fixture
def path(tmp_path, network):
    file = tmp_path / 'deep' / 'weights.safetensors'
    save(file, network, {'step': 7})
    return file


def header_of(path) -> dict:
    from safetensors import safe_open

    with safe_open(path, 'pt') as file:
        return file.metadata()


def test_loaded_network_is_the_saved_one(path, network):
    loaded = load(path)
    assert loaded.config == network.config and not loaded.training
    ours, theirs = network.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert read_header(path).notes == {'step': 7}
    assert not list(path.parent.glob('*.part'))


def test_half_precision_halves_the_file_and_hardly_changes_the_answer(tmp_path, path, network):
    half = tmp_path / 'half.safetensors'
    save(half, network, storage='half')
    assert half.stat().st_size < 0.65 * path.stat().st_size
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    loaded = load(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.allclose(loaded(images)[-1].mask, network(images)[-1].mask, atol=5e-2)


def test_kernels_in_bytes_hardly_change_the_answer(tmp_path, network, small_kernels_too):
    packed = tmp_path / 'packed.safetensors'
    save(packed, network, {'step': 7}, 'bytes')
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    loaded = load(packed)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert read_header(packed).notes == {'step': 7}
    assert torch.allclose(loaded(images)[-1].mask, network(images)[-1].mask, atol=5e-2)


def test_packed_again_it_is_the_same(tmp_path, network, small_kernels_too):
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    save(first, network, storage='bytes')
    save(second, load(first), storage='bytes')
    ours, theirs = load(first).state_dict(), load(second).state_dict()
    assert all(torch.allclose(ours[k], theirs[k], rtol=1e-3, atol=1e-6) for k in ours)


def test_unknown_storage_is_refused_before_anything_is_written(tmp_path, network):
    with pytest.raises(ValueError, match='storage is True, expected one of full, half, bytes'):
        save(tmp_path / 'weights.safetensors', network, storage=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('damage', [
    lambda tensors, key: tensors.pop(key),
    lambda tensors, key: tensors.update({key: tensors[key][:-1].clone()})],
    ids=['missing', 'too few'])
def test_kernels_whose_scales_do_not_fit_are_named(tmp_path, network, damage, small_kernels_too):
    file = tmp_path / 'packed.safetensors'
    save(file, network, storage='bytes')
    tensors, header = load_file(file), header_of(file)
    key = next(name for name in tensors if name.endswith('.scale'))
    damage(tensors, key)
    save_file(tensors, file, metadata=header)
    with pytest.raises(CheckpointError, match=f'the scales of {key[:-6]} are .*copy the file'):
        load(file)


@pytest.mark.parametrize('storage', ['half', 'bytes'])
def test_saving_leaves_the_network_as_it_is(path, network, storage):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    save(path, network, storage=storage)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r'none.safetensors does not exist.*hiu train'):
        load(tmp_path / 'none.safetensors')


def test_the_folder_of_a_training_is_told_with_the_file_in_it(tmp_path):
    with pytest.raises(CheckpointError, match='is a folder; name the file in it, .*/weights.safe'):
        load(tmp_path)


@pytest.mark.parametrize('keep', [0, 5, 2000, -10])
def test_truncated_file(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match='not a whole safetensors file.*copy it again'):
        load(path)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize('dump', [torch.save, lambda trap, file: file.write_bytes(
    pickle.dumps(trap))], ids=['torch', 'pickle'])
def test_pickles_are_not_opened(tmp_path, dump):
    file, folder = tmp_path / 'weights.safetensors', tmp_path / 'sprung'
    dump(Trap(folder), file)
    with pytest.raises(CheckpointError, match='not a whole safetensors file'):
        load(file)
    assert not folder.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_what_a_gpu_saved_is_loaded_on_the_cpu(tmp_path, network):
    file = tmp_path / 'gpu.safetensors'
    ours = {k: v.clone() for k, v in network.state_dict().items()}
    save(file, network.to('cuda'))
    theirs = load(file).state_dict()
    assert {v.device.type for v in theirs.values()} == {'cpu'}
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_file_names_no_device(path):
    """Tensors come back on the device that is asked for, wherever they were saved."""
    raw = path.read_bytes()
    header = json.loads(raw[8:8 + int.from_bytes(raw[:8], 'little')])
    entries = [value for key, value in header.items() if key != '__metadata__']
    assert entries and all(set(value) == {'dtype', 'shape', 'data_offsets'} for value in entries)


def test_foreign_safetensors_file(tmp_path):
    file = tmp_path / 'other.safetensors'
    save_file({'a': torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match='has format None'):
        load(file)


def test_finder_is_no_hand_network_and_the_other_way_round(tmp_path, path, finder):
    file = tmp_path / 'finder.safetensors'
    save_finder(file, finder)
    with pytest.raises(CheckpointError, match="holds 'finder', expected 'hiu'"):
        load(file)
    with pytest.raises(CheckpointError, match="holds 'hiu', expected 'finder'"):
        load_finder(path)


def test_every_way_not_to_fit_is_named(path):
    tensors, header = load_file(path), header_of(path)
    del tensors['stem.0.weight']
    tensors['new'] = torch.zeros(2)
    tensors['stem.1.weight'] = torch.zeros(2, 2)
    save_file(tensors, path, metadata=header)
    with pytest.raises(CheckpointError) as error:
        load(path)
    for part in ('missing stem.0.weight', 'surplus new', 'stem.1.weight is (2, 2), expected'):
        assert part in str(error.value)


@pytest.mark.parametrize('options', [[], ['--half']])
def test_numbers_too_large_for_half_precision_are_named_and_not_packed(
        tmp_path, finder, options, capsys):
    with torch.no_grad():
        finder.head.bias[2] = 7e4
    path, out = tmp_path / 'finder.safetensors', tmp_path / 'packed.safetensors'
    save_finder(path, finder)
    assert cli.main(['pack', str(path), str(out), *options]) == 1 and not out.exists()
    assert 'head.bias has numbers up to 7e+04' in capsys.readouterr().err


@pytest.mark.parametrize('storage', checkpoint.STORAGE)
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_numbers_that_are_not_finite_are_named_and_not_packed(tmp_path, finder, storage, value):
    with torch.no_grad():
        finder.head.bias[2] = value
    path, out = tmp_path / 'finder.safetensors', tmp_path / 'packed.safetensors'
    save_finder(path, finder, storage=storage)
    with pytest.raises(CheckpointError, match=f'{path}: head.bias has numbers that are not fin'):
        load_finder(path)
    assert cli.main(['pack', str(path), str(out)]) == 1 and not out.exists()


def test_long_lists_of_faults_are_cut(path):
    save_file({'new': torch.zeros(1)}, path, metadata=header_of(path))
    with pytest.raises(CheckpointError, match=r'and \d\d+ more'):
        load(path)


def test_configuration_of_another_program_version(path):
    tensors, header = load_file(path), header_of(path)
    config = json.loads(header['config']) | {'novelty': 3}
    save_file(tensors, path, metadata=header | {'config': json.dumps(config)})
    with pytest.raises(CheckpointError, match='novelty'):
        load(path)


def test_failed_write_leaves_the_old_file(path, network, monkeypatch):
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError('disk full')

    monkeypatch.setattr(checkpoint, 'save_file', fail)
    with pytest.raises(OSError, match='disk full'):
        save(path, network)
    assert path.read_bytes() == before


def test_a_folder_is_no_file_to_write_and_nothing_is_left_beside_it(tmp_path, network):
    (tmp_path / 'out').mkdir()
    with pytest.raises(IsADirectoryError, match='out is a folder'):
        save(tmp_path / 'out', network)
    assert os.listdir(tmp_path) == ['out']


def test_a_full_disk_is_an_os_error_that_names_the_file(path, network, monkeypatch):
    before = path.read_bytes()

    def fail(tensors, part, metadata=None):
        part.write_bytes(b'half')
        raise SafetensorError('No space left on device (os error 28)')

    monkeypatch.setattr(checkpoint, 'save_file', fail)
    with pytest.raises(OSError, match=f'{path} cannot be written: No space left'):
        save(path, network)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_weights_can_be_read_by_whoever_may_read_other_new_files(tmp_path, network):
    (tmp_path / 'other').touch()
    save(tmp_path / 'new.safetensors', network)
    assert (tmp_path / 'new.safetensors').stat().st_mode == (tmp_path / 'other').stat().st_mode


def test_header_is_read_without_the_tensors(path):
    header = read_header(path)
    assert header.kind == 'hiu' and header.config['input_size'] == 64


def test_any_module_can_be_written(tmp_path):
    file = tmp_path / 'linear.safetensors'
    write(file, torch.nn.Linear(2, 3), 'toy', {'width': 3})
    tensors, config, notes = checkpoint.open_checkpoint(file, 'toy')
    assert set(tensors) == {'weight', 'bias'} and config == {'width': 3} and notes == {}


def test_kernels_in_bytes_make_a_quarter_of_the_file(tmp_path):
    file, module = tmp_path / 'linear.safetensors', torch.nn.Linear(256, 256)
    sizes = {}
    for storage in checkpoint.STORAGE:
        write(file, module, 'toy', {}, storage=storage)
        sizes[storage] = file.stat().st_size
    assert sizes['half'] < 0.51 * sizes['full'] and sizes['bytes'] < 0.27 * sizes['full']


def test_what_was_fitted_in_the_end_is_kept_in_the_file(tmp_path, network):
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    before = network.predict(images)
    assert before.legible.shape == (2, 0)
    network.regressor.add_legibility()
    save(tmp_path / 'fitted.safetensors', network)
    after = load(tmp_path / 'fitted.safetensors').predict(images)
    assert torch.equal(after.legible, network.predict(images).legible)
    assert after.legible.shape == (2, 1) and ((after.legible > 0) & (after.legible < 1)).all()
    # It changes nothing of the rest.
    for name, value in before._asdict().items():
        assert name == 'legible' or torch.equal(value, getattr(after, name)), name


def test_weights_that_are_to_change_come_without_what_was_fitted_to_them(tmp_path, network):
    path = tmp_path / 'fitted.safetensors'
    network.regressor.add_legibility()
    save(path, network)
    assert load(path, fitted=False).regressor.legibility is None
    other = HIU(network.config)
    load_into(other, path)
    assert other.regressor.legibility is None
    assert torch.equal(other.regressor.verdict_head.weight, network.regressor.verdict_head.weight)


@pytest.mark.parametrize('name', ['config', 'notes'])
@pytest.mark.parametrize('text', [None, '{', '[]'])
def test_a_damaged_header_is_told(path, name, text):
    header = {'format': checkpoint.FORMAT, 'kind': 'hiu', 'config': '{}', 'notes': '{}'}
    header = {key: value for key, value in {**header, name: text}.items() if value is not None}
    save_file({'a': torch.zeros(1)}, path, metadata=header)
    with pytest.raises(CheckpointError, match=f'no legible {name} in its header'):
        read_header(path)


@pytest.mark.parametrize('storage', checkpoint.STORAGE)
def test_how_weights_lie_in_memory_makes_no_difference_to_the_file(
        tmp_path, network, storage, small_kernels_too):
    save(tmp_path / 'rows.safetensors', network, storage=storage)
    save(tmp_path / 'pixels.safetensors', network.to(memory_format=torch.channels_last),
         storage=storage)
    rows, pixels = (load(tmp_path / f'{name}.safetensors').state_dict()
                    for name in ('rows', 'pixels'))
    assert all(torch.equal(value, pixels[name]) for name, value in rows.items())


def test_weights_of_another_network_to_begin_with_are_told_with_its_name(path):
    with pytest.raises(CheckpointError, match=r'another network, \w+ \(which network= chooses'):
        load_into(HIU(preset('hiu_deep')), path)
