"""What the regressor hears of the maps, and the numbers that it makes of its own."""

import pytest
import torch

from hiu_ros.hand.skeleton import BONES
from hiu_ros.network.config import preset
from hiu_ros.network.regressor import TYPICAL_SCALE, Regressor


@pytest.fixture
def regressor(tiny):
    torch.manual_seed(0)
    return Regressor(8, tiny).eval()


def test_evidence_is_joints_in_crop_units_their_certainty_and_the_fields_of_bones(regressor):
    heatmaps = torch.full((2, 21, 16, 32), -40.0)
    columns, rows = torch.arange(21), torch.arange(21) % 16
    heatmaps[:, torch.arange(21), rows, columns] = 40.0
    heatmaps[:, 7] = 0.0  # says nothing
    heatmaps.requires_grad_()
    fields = torch.linspace(-1, 1, 60)
    pof = fields.view(1, 60, 1, 1).expand(2, 60, 16, 32)
    joints, certainty, bones = regressor.evidence(heatmaps, pof).split([42, 21, 60], 1)
    assert not joints.requires_grad
    # A pixel's middle lies half a pixel within its edges, which the crop's are at -1 and 1.
    expected = torch.stack([columns / 16 - 31 / 32, rows / 8 - 15 / 16], 1)
    expected[7] = 0.0
    assert torch.allclose(joints.view(2, 21, 2), expected.expand(2, -1, -1), atol=1e-5)
    assert torch.equal(certainty > 0.5, (torch.arange(21) != 7).expand(2, -1))
    assert torch.allclose(bones.view(2, len(BONES), 3), fields.view(-1, 3), atol=1e-5)


def test_the_scale_grows_with_the_exponential_of_its_number_up_to_a_limit(regressor):
    maps = torch.zeros(1, 21, 16, 16), torch.zeros(1, 60, 16, 16)
    torch.nn.init.zeros_(regressor.parameters_head.weight)
    scales = []
    for number in (-9.0, -0.7, 0.0, 0.7, 9.0):
        with torch.no_grad():
            regressor.parameters_head.bias[-3:] = torch.tensor([number, 0.2, -0.3])
        camera = regressor(torch.zeros(1, 8, 16, 16), *maps).camera
        assert camera[0, 1:].tolist() == pytest.approx([0.2, -0.3])
        scales.append(camera[0, 0].log() - torch.tensor(TYPICAL_SCALE).log())
    assert torch.stack(scales).tolist() == pytest.approx([-2.5, -0.7, 0.0, 0.7, 2.5], abs=1e-5)


def test_a_network_without_evidence_does_not_hear_the_maps():
    config = preset('hiu_lite', input_size=64, regressor_channels=(8, 8), regressor_blocks=(1, 1),
                    regressor_hidden=8, regressor_evidence=False)
    regressor = Regressor(8, config).eval()
    x = torch.randn(2, 8, 16, 16)
    answers = [regressor(x, torch.randn(2, 21, 16, 16), torch.randn(2, 60, 16, 16))
               for _ in range(2)]
    assert all(torch.equal(*values) for values in zip(*answers))
