"""The part of a network that draws the mask of a hand as fine as the image shows it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiu_ros.network.blocks import ConvBN, RepConv
from hiu_ros.network.config import HIUConfig
from hiu_ros.network.decoder import Decoder

#: Channels that the image's features and those of the mask are brought to, and convolutions after.
WIDTH, CONVS = 32, 2
#: Logits of the coarse mask are heard as numbers in -1..1, this one as 0.76.
_LOGIT = 4.0


class FineMask(nn.Module):
    """A mask at half the crop's resolution: a mask decoder of its own, and the outline by the
    image.

    It is fitted after all else is done (`training.mask_fit`), so nothing else that the network
    says depends on it. At first it answers as the mask decoder that it begins with.
    """

    def __init__(self, config: HIUConfig):
        super().__init__()
        self.decoder = Decoder(1, config, config.head_strides[2])
        self.fine = ConvBN(config.stem_channels[0] + 12, WIDTH)
        self.coarse = ConvBN(config.decoder_channels, WIDTH)
        self.body = nn.Sequential(
            RepConv(2 * WIDTH + 1, WIDTH), *(RepConv(WIDTH, WIDTH) for _ in range(CONVS - 1)))
        self.head = nn.Conv2d(WIDTH, 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor, first: Tensor, levels: list[Tensor]) -> Tensor:
        """Logits (B, 1, n/2, n/2).

        images: (B, 3, n, n). first: (B, stem_channels[0], n/2, n/2), the stem's first layer.
        levels: the last stage's encoder's.
        """
        feature, mask = self.decoder(levels)
        size = first.shape[-2:]
        rough = _enlarged(mask, size)
        x = torch.cat([
            self.fine(torch.cat([first, F.pixel_unshuffle(images, 2)], 1)),
            _enlarged(self.coarse(feature), size), torch.tanh(rough / _LOGIT)], 1)
        return rough + self.head(self.body(x))


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode='bilinear', align_corners=False)
