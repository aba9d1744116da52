"""`hiu describe` shows configuration, size and cost, and refuses what it cannot show."""

import pytest

from hiu_ros import cli
from hiu_ros.network.checkpoint import save
from hiu_ros.network.cost import parameter_count
from hiu_ros.network.finder import save_finder


def test_without_a_name_all_networks_are_listed(capsys):
    assert cli.main(['describe']) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        'hiu_dmtl', 'hiu_lite', 'hiu_medium', 'hiu_deep', 'finder']
    assert '256 x 192' in text


def test_configuration_and_modules_of_a_changed_preset(capsys):
    assert cli.main(['describe', 'hiu_lite', 'stages=1', 'input_size=160']) == 0
    text = capsys.readouterr().out
    assert 'hiu_lite, input 160 x 160' in text
    assert 'stages.0.pof_decoder' in text and 'stages.1' not in text
    assert 'encoder_channels' in text and '32 80 128 224' in text
    assert '100.0%' in text


def test_finder(capsys):
    assert cli.main(['describe', 'finder', 'long_side=128']) == 0
    text = capsys.readouterr().out
    assert 'finder, input 128 x 96' in text and 'level32' in text


def test_weights_files_are_described_with_their_notes(tmp_path, network, finder, capsys):
    save(tmp_path / 'a.safetensors', network, {'step': 250})
    save_finder(tmp_path / 'b.safetensors', finder)
    assert cli.main(['describe', str(tmp_path / 'a.safetensors')]) == 0
    text = capsys.readouterr().out
    assert 'step: 250' in text and 'hiu_lite, input 64 x 64' in text
    assert cli.main(['describe', str(tmp_path / 'b.safetensors')]) == 0
    assert 'finder, input 128 x 96' in capsys.readouterr().out


def test_parts_fitted_after_a_training_are_counted_where_the_file_has_them(
        tmp_path, network, capsys):
    def described():
        save(tmp_path / 'a.safetensors', network)
        assert cli.main(['describe', str(tmp_path / 'a.safetensors')]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines() if '%' in line]
        return {name: int(count.replace(',', '')) for name, count, *_ in rows}

    trained = described()
    assert 'fine_mask' not in trained
    network.add_fitted(['legibility', 'fine_mask'])
    whole = described()
    assert whole['fine_mask'] == parameter_count(network.fine_mask)
    assert whole['regressor'] - trained['regressor'] == parameter_count(
        network.regressor.legibility)
    assert whole['all'] == parameter_count(network)


@pytest.mark.parametrize('arguments, message', [
    (['hiu_huge'], "no network and no weights file 'hiu_huge'"),
    (['none.safetensors'], 'does not exist'),
    (['hiu_lite', 'stages=0'], 'stages'),
    (['hiu_lite', 'stages'], 'no change'),
    (['finder', 'color=3'], "['color']; known are ['channels'"),
    (['finder', 'channels=5'], 'FinderConfig.channels is 5, expected 5 positive whole numbers'),
    (['finder', 'channels=[8, 8, 8, 8, 8.5]'], 'FinderConfig.channels'),
    (['finder', 'channels=[a, b, c, d, e]'], 'FinderConfig.channels'),
    (['finder', 'long_side=wide'], "FinderConfig.long_side is 'wide'"),
    (['hiu_lite', 'name=5'], 'HIUConfig.name is 5'),
    (['hiu_lite', 'stem_channels=[24, 32'], "'stem_channels=[24, 32' is no change"),
])
def test_errors_are_one_line(arguments, message, capsys):
    assert cli.main(['describe', *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_weights_cannot_be_changed(tmp_path, network, capsys):
    save(tmp_path / 'a.safetensors', network)
    assert cli.main(['describe', str(tmp_path / 'a.safetensors'), 'stages=1']) == 1
    assert 'fixed' in capsys.readouterr().err
