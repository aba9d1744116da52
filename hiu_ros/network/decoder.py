"""One decoder: a feature pyramid merged upwards to one feature, and the maps read from it."""

import torch.nn.functional as F
from torch import Tensor, nn

from hiu_ros.network.blocks import ConvBN, conv3x3
from hiu_ros.network.config import HIUConfig


class Decoder(nn.Module):
    """(levels) to the task feature (B, C, n/4, n/4) and the maps (B, outputs, n/s, n/s).

    Every task (heat maps, part orientation fields, mask) has one of its own. The last layer is a
    convolution with bias, not a batch norm (spec section 6, defect 6). The maps' stride s is 4 in
    the paper; with 8 or 2 the branch that makes them works on the feature shrunk or enlarged.
    """

    def __init__(self, outputs: int, config: HIUConfig, stride: int = 4):
        super().__init__()
        self.stride = stride
        width, kind = config.decoder_channels, config.block

        def convs() -> nn.Sequential:
            return nn.Sequential(
                *(conv3x3(kind, width, width) for _ in range(config.decoder_convs))
            )

        self.laterals = nn.ModuleList(ConvBN(c, width) for c in config.encoder_channels)
        self.rise = nn.ModuleList(convs() for _ in config.encoder_channels[1:])
        self.merge = nn.ModuleList(
            ConvBN(width, width, relu=False) for _ in config.encoder_channels[1:]
        )
        self.branch = convs()
        self.head = nn.Conv2d(width, outputs, config.head_kernel, padding=config.head_kernel // 2)
        nn.init.normal_(self.head.weight, std=1e-2)
        nn.init.zeros_(self.head.bias)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.laterals[-1](levels[-1])
        for level in range(len(levels) - 2, -1, -1):
            x = self.rise[level](x)
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
            x = self.merge[level](x) + self.laterals[level](levels[level])
        return x, self.head(self.branch(self._resized(x)))

    def _resized(self, feature: Tensor) -> Tensor:
        if self.stride > 4:
            return F.avg_pool2d(feature, self.stride // 4)
        if self.stride < 4:
            return F.interpolate(feature, scale_factor=4 // self.stride, mode='bilinear',
                                 align_corners=False)
        return feature
