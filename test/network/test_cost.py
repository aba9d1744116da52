"""Size and cost of the shipped networks against the specification and their budgets."""

from dataclasses import replace

import pytest

from hiu_ros.network.config import HIU_DEEP, HIU_LITE, preset
from hiu_ros.network.cost import cost
from hiu_ros.network.finder import FinderConfig

#: Stages: parameters (M), GMAC of all stages, GMAC of the last stage's answer.
PAPER = {1: (58.2, 32.3, 32.3), 2: (97.9, 63.4, 59.3), 3: (137.6, 94.5, 86.3),
         4: (177.2, 125.5, 113.2)}


@pytest.mark.parametrize('stages', PAPER)
def test_paper_network_has_the_size_of_the_specification(stages):
    parameters, macs, answer = PAPER[stages]
    measured = cost(preset('hiu_dmtl', stages=stages))
    assert measured.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    assert measured.macs / 1e9 == pytest.approx(macs, rel=0.05)
    assert measured.answer_macs / 1e9 == pytest.approx(answer, rel=0.05)


def test_lite_network_is_within_its_budget():
    assert cost(HIU_LITE).macs <= 0.7e9


def test_finder_costs_less_than_half_of_the_network_that_ships():
    assert cost(FinderConfig(), height=192).macs < cost(HIU_DEEP).macs / 2


@pytest.mark.parametrize('config', [HIU_LITE, preset('hiu_dmtl', stages=2), FinderConfig()],
                         ids=['lite', 'paper', 'finder'])
def test_modules_add_up_to_the_whole(config):
    measured = cost(config)
    assert sum(row.parameters for row in measured.modules) == measured.parameters
    assert sum(row.macs for row in measured.modules) == measured.macs
    assert all(row.parameters > 0 and row.macs > 0 for row in measured.modules)


def test_cost_of_a_stage_grows_with_its_width(tiny):
    narrow, wide = cost(tiny), cost(replace(tiny, decoder_channels=16))
    row = {r.name: r for r in narrow.modules}, {r.name: r for r in wide.modules}
    name = 'stages.0.mask_decoder'
    assert row[1][name].macs > row[0][name].macs
    assert row[1]['stem'] == row[0]['stem']
