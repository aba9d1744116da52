"""The HIU network: cascaded multi-task stages over one stem, with one shared regressor."""

from collections.abc import Container
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hiu_ros.hand.skeleton import BONES, KEYPOINT_COUNT
from hiu_ros.network.attention import TaskAttention
from hiu_ros.network.blocks import RepConv
from hiu_ros.network.config import HIUConfig
from hiu_ros.network.decoder import Decoder
from hiu_ros.network.encoder import Encoder, Stem
from hiu_ros.network.fine_mask import FineMask
from hiu_ros.network.readout import CropReading, read
from hiu_ros.network.regressor import Regressor


class StageOutput(NamedTuple):
    """All predictions of one stage; right hands, virtual crop camera.

    m = n / 4, or each map's own by `HIUConfig.head_strides`.
    """

    heatmaps: Tensor  #: (B, 21, m, m)
    pof: Tensor  #: (B, 60, m, m), 3 channels a bone in the order of skeleton.BONES
    mask: Tensor  #: (B, 1, m, m) logit
    rotations: Tensor  #: (B, 16, 3, 3)
    shape: Tensor  #: (B, 10)
    camera: Tensor  #: (B, 3) s, tx, ty
    presence: Tensor  #: (B,) logit
    side: Tensor  #: (B,) logit, above 0: shown is a right hand
    legible: Tensor  #: (B, 1) logit or (B, 0), see `HandParameters`
    fine_mask: Tensor  #: (B, 1, n/2, n/2) logit, see `FineMask`, or (B, 0, m, m)


class Stage(nn.Module):
    """Encoder, three decoders and the task attention of one stage, with their own weights."""

    def __init__(self, cin: int, config: HIUConfig):
        super().__init__()
        self.encoder = Encoder(cin, config)
        strides = config.head_strides
        self.heatmap_decoder = Decoder(KEYPOINT_COUNT, config, strides[0])
        self.pof_decoder = Decoder(3 * len(BONES), config, strides[1])
        self.mask_decoder = Decoder(1, config, strides[2])
        self.attention = TaskAttention(3, config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
        """The fused feature, heat maps, fields, mask, and the encoder's levels."""
        levels = self.encoder(x)
        heatmap_feature, heatmaps = self.heatmap_decoder(levels)
        pof_feature, pof = self.pof_decoder(levels)
        mask_feature, mask = self.mask_decoder(levels)
        fused = self.attention([heatmap_feature, pof_feature, mask_feature])
        return fused, heatmaps, pof, mask, levels


class HIU(nn.Module):
    """Hand image understanding network (HIU-DMTL, ICCV 2021).

    Input (B, 3, n, n), BGR in -1..1, a crop around one hand shown as a right hand. Output: one
    `StageOutput` a stage, the last being the answer. `fine_mask` is None until it is fitted.
    """

    def __init__(self, config: HIUConfig):
        super().__init__()
        self.config = config
        self.stem = Stem(config)
        base, width = config.stem_channels[1], config.decoder_channels
        self.stages = nn.ModuleList(
            Stage(base if k == 0 else base + width, config) for k in range(config.stages)
        )
        self.regressor = Regressor(base + width, config)
        self.fine_mask: FineMask | None = None

    def add_fine_mask(self) -> FineMask:
        """Give it a new `fine_mask` with the decoder of the last stage, and return that.

        The network must not be fused.
        """
        like = next(self.parameters())
        self.fine_mask = FineMask(self.config)
        self.fine_mask.decoder.load_state_dict(self.stages[-1].mask_decoder.state_dict())
        self.fine_mask.to(like.device, like.dtype)
        return self.fine_mask

    def add_fitted(self, parts: Container[str]) -> None:
        """Give it new ones of the parts that are fitted last: 'legibility', 'fine_mask'."""
        if 'legibility' in parts:
            self.regressor.add_legibility()
        if 'fine_mask' in parts:
            self.add_fine_mask()

    def forward(self, images: Tensor, last_only: bool = False) -> list[StageOutput]:
        """`last_only` skips the regressor of all but the last stage and returns that stage."""
        size = self.config.input_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(
                f'HIU got images of shape {tuple(images.shape)}, expected (B, 3, {size}, {size})'
            )
        half, base = self.stem(images)
        outputs, x = [], base
        for k, stage in enumerate(self.stages):
            fused, heatmaps, pof, mask, levels = stage(x)
            x = torch.cat([base, fused], 1)
            last = k + 1 == len(self.stages)
            if last_only and not last:
                continue
            fine = mask[:, :0]
            if last and self.fine_mask is not None:
                fine = self.fine_mask(images, half, levels)
            outputs.append(
                StageOutput(heatmaps, pof, mask, *self.regressor(x, heatmaps, pof), fine)
            )
        return outputs

    @torch.inference_mode()
    def predict(self, images: Tensor) -> CropReading:
        """The last stage's answer in crop pixels."""
        output = self(images, last_only=True)[-1]
        return read(output, self.config.input_size, self.config.heatmap_readout)

    def fuse(self) -> 'HIU':
        """Fold re-parameterisable convolutions for inference; in place, returns self."""
        for module in self.modules():
            if isinstance(module, RepConv):
                module.fuse()
        return self
