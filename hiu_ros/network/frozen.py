"""A network as a frozen graph, which a CPU runs without Python between the layers.

The few crops of a frame take an eager network so little arithmetic a layer that calling its 440
modules counts. `torch.compile` would need a compiler where the node runs, and minutes.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hiu_ros.network.hiu import HIU
from hiu_ros.network.readout import CropReading


class _Predict(nn.Module):
    def __init__(self, network: HIU):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.predict(images))


def frozen(network: HIU) -> Callable[[Tensor], CropReading]:
    """`network.predict` for batches of any size on a CPU, the same but for rounding.

    The network shares its weights with the result and must not be changed afterwards. Where this
    release of PyTorch makes no such graph it is `network.predict` itself.
    """
    size = network.config.input_size
    like = next(network.parameters())
    # Two crops: what is made for one could take a batch for a single hand.
    example = torch.zeros(2, 3, size, size, dtype=like.dtype)
    try:
        with warnings.catch_warnings():
            # The graph holds for other batches (there are tests); TorchScript is on its way out.
            warnings.simplefilter('ignore')
            traced = torch.jit.trace(_Predict(network).eval(), example, check_trace=False)
            graph = torch.jit.freeze(traced)
    except (AttributeError, RuntimeError):
        return network.predict
    return lambda images: CropReading(*graph(images))
