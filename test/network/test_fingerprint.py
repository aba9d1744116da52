"""What tells one network's weights from another's: nothing may be fitted to others than those."""

import pytest

from hiu_ros.network import packing
from hiu_ros.network.checkpoint import fingerprint, load, save, write


@pytest.fixture
def small_kernels_too(monkeypatch):
    monkeypatch.setattr(packing, 'LEAST', 256)


@pytest.mark.parametrize('storage', ['half', 'bytes'])
def test_a_fingerprint_is_of_the_numbers_however_they_are_stored(
        tmp_path, network, storage, small_kernels_too):
    stored, full = tmp_path / 'stored.safetensors', tmp_path / 'full.safetensors'
    save(stored, network, {'a': 1}, storage)
    save(full, load(stored), {'b': 2})
    assert fingerprint(stored) == fingerprint(full)


def test_a_fingerprint_changes_with_any_weight_and_with_the_configuration(tmp_path, network):
    file, told = tmp_path / 'w.safetensors', set()
    for change in range(4):
        config = network.config.to_dict()
        if change == 1:
            config['input_size'] = 96
        elif change == 2:
            network.regressor.verdict_head.bias.data[1] += 1e-6
        elif change == 3:
            next(network.parameters()).data.flatten()[0] += 1e-6
        write(file, network, 'hiu', config)
        told.add(fingerprint(file))
    assert len(told) == 4
    write(file, network, 'hiu', dict(reversed(network.config.to_dict().items())))
    assert fingerprint(file) in told
