"""Stem and encoder: a crop to features at a quarter of its size, and those to a pyramid."""

from torch import Tensor, nn

from hiu_ros.network.blocks import ConvBN, conv3x3, group
from hiu_ros.network.config import HIUConfig


class Stem(nn.Sequential):
    """Two strided convolutions: (B, 3, n, n) to the first one's feature (B, stem_channels[0],
    n/2, n/2) and F0 (B, stem_channels[1], n/4, n/4)."""

    def __init__(self, config: HIUConfig):
        first, second = config.stem_channels
        if config.block == 'rep':
            layers = conv3x3('rep', 3, first, 2), conv3x3('rep', first, second, 2)
        else:
            k = config.stem_kernel
            layers = ConvBN(3, first, k, 2), ConvBN(first, second, k, 2)
        super().__init__(*layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        first, second = self
        half = first(images)
        return half, second(half)


class Encoder(nn.Module):
    """The body of a ResNet: (B, cin, n/4, n/4) to four levels n/4, n/8, n/16, n/32."""

    def __init__(self, cin: int, config: HIUConfig):
        super().__init__()
        groups = []
        for level, (cout, blocks) in enumerate(
            zip(config.encoder_channels, config.encoder_blocks)
        ):
            groups.append(group(config.block, cin, cout, blocks, stride=1 if level == 0 else 2))
            cin = cout
        self.groups = nn.ModuleList(groups)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for layer in self.groups:
            x = layer(x)
            levels.append(x)
        return levels
