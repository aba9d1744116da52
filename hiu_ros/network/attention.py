"""Task attention module (TAM): which task's feature to trust, channel by channel."""

import torch
from torch import Tensor, nn

from hiu_ros.network.blocks import ConvBN
from hiu_ros.network.config import HIUConfig


class TaskAttention(nn.Module):
    """T features (B, C, h, w) to one: softmax weights over the tasks, separately per channel.

    Global average pool of each, a 1x1 perceptron over the stacked T*C numbers, softmax over T,
    weighted sum (HIU-DMTL; the fusion of SK-Net across tasks).
    """

    def __init__(self, tasks: int, config: HIUConfig):
        super().__init__()
        self.tasks = tasks
        self.channels = config.decoder_channels
        stacked, hidden = tasks * self.channels, config.attention_hidden
        self.perceptron = nn.Sequential(
            ConvBN(stacked, stacked),
            ConvBN(stacked, hidden),
            ConvBN(hidden, hidden),
            ConvBN(hidden, hidden),
            ConvBN(hidden, stacked),
            nn.Conv2d(stacked, stacked, 1, bias=False),
        )

    def weights(self, features: list[Tensor]) -> Tensor:
        """(B, T, C), summing to one over T."""
        pooled = torch.cat([f.mean((2, 3), keepdim=True) for f in features], 1)
        logits = self.perceptron(pooled).float()
        return logits.view(-1, self.tasks, self.channels).softmax(1)

    def forward(self, features: list[Tensor]) -> Tensor:
        weights = self.weights(features).to(features[0].dtype)[..., None, None]
        return sum(weights[:, t] * f for t, f in enumerate(features))
