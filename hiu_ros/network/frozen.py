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

#: Networks that have a graph, with it: PyTorch gives no graph back, nor the weights in it, before
#: the process ends, so who loads the same weights again gets the same one.
_made: list[tuple[HIU, Callable[[Tensor], CropReading]]] = []


class _Predict(nn.Module):
    def __init__(self, network: HIU):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.predict(images))


def frozen(network: HIU) -> Callable[[Tensor], CropReading]:
    """`network.predict` for batches of any size on a CPU, the same but for rounding.

    The network shares its weights with the result and must not be changed afterwards. Where this
    release of PyTorch makes no such graph it is `network.predict` itself. Graphs are kept until
    the process ends, one for equal networks.
    """
    for other, answer in _made:
        if _equal(other, network):
            return answer
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
    _made.append((network, lambda images: CropReading(*graph(images))))
    return _made[-1][1]


def _equal(network: HIU, other: HIU) -> bool:
    """Whether the two have the same graph: layers, weights, and how these lie in memory."""
    ours, theirs = network.state_dict(), other.state_dict()
    return network.config == other.config and ours.keys() == theirs.keys() and all(
        value.dtype == theirs[name].dtype and value.stride() == theirs[name].stride()
        and torch.equal(value, theirs[name]) for name, value in ours.items())
