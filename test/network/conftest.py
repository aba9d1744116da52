"""Networks that are small enough for a test and have every part of the large ones."""

import pytest
import torch

from hiu_ros.network.config import HIUConfig, preset
from hiu_ros.network.finder import Finder, FinderConfig
from hiu_ros.network.hiu import HIU


def stir(module: torch.nn.Module) -> None:
    """Give batch norms a past, so that their statistics matter."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            count = part.num_features
            part.running_mean.copy_(torch.randn(count, generator=generator) * 0.1)
            part.running_var.copy_(torch.rand(count, generator=generator) + 0.5)
            part.weight.data.copy_(torch.rand(count, generator=generator) + 0.5)
            part.bias.data.copy_(torch.randn(count, generator=generator) * 0.1)


@pytest.fixture
def tiny() -> HIUConfig:
    """hiu_lite with fewer and narrower layers."""
    return preset('hiu_lite', input_size=64, stem_channels=(8, 8), encoder_channels=(8, 8, 16, 16),
                  encoder_blocks=(1, 1, 1, 1), decoder_channels=8, attention_hidden=8,
                  regressor_channels=(16, 16), regressor_blocks=(1, 1), regressor_hidden=16)


@pytest.fixture
def tiny_paper() -> HIUConfig:
    """hiu_dmtl with fewer and narrower layers."""
    return preset('hiu_dmtl', input_size=64, stages=2, stem_channels=(8, 8),
                  encoder_channels=(8, 8, 16, 16), encoder_blocks=(1, 1, 1, 1),
                  decoder_channels=8, attention_hidden=8, regressor_channels=(16, 16),
                  regressor_blocks=(1, 1), regressor_hidden=16)


@pytest.fixture
def network(tiny) -> HIU:
    torch.manual_seed(0)
    model = HIU(tiny).eval()
    stir(model)
    return model


@pytest.fixture
def finder() -> Finder:
    torch.manual_seed(0)
    model = Finder(FinderConfig(long_side=128, channels=(8, 8, 8, 8, 8))).eval()
    stir(model)
    return model
