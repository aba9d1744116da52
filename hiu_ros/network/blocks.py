"""Convolution blocks of the network (spec: HIU-DMTL code, section 'building blocks')."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm, and a ReLU unless `relu` is False."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1, relu: bool = True):
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout)
        )
        if relu:
            self.append(nn.ReLU(inplace=True))


class RepConv(nn.Module):
    """A 3x3 convolution trained as the sum of 3x3, 1x1 and identity, and used as one convolution.

    The branches are linear and share one batch norm, so their kernels are added up before the
    convolution: training costs one convolution too. `fuse` folds branches and batch norm into a
    plain convolution with bias (after RepVGG, CVPR 2021; kernels summed online as in OREPA,
    CVPR 2022).
    """

    def __init__(self, cin: int, cout: int, stride: int = 1, relu: bool = True):
        super().__init__()
        self.stride = stride
        self.relu = relu
        self.weight = nn.Parameter(torch.empty(cout, cin, 3, 3))
        self.point = nn.Parameter(torch.empty(cout, cin, 1, 1))
        nn.init.kaiming_normal_(self.weight, mode='fan_out', nonlinearity='relu')
        nn.init.kaiming_normal_(self.point, mode='fan_out', nonlinearity='relu')
        with torch.no_grad():
            self.point.mul_(0.3)
        self.identity = (
            nn.Parameter(torch.full((cout,), 0.3)) if cin == cout and stride == 1 else None
        )
        self.norm = nn.BatchNorm2d(cout)
        self.bias: nn.Parameter | None = None

    def kernel(self) -> Tensor:
        """The sum of the branches, (cout, cin, 3, 3)."""
        centre = self.point
        if self.identity is not None:
            centre = centre + torch.diag(self.identity)[:, :, None, None]
        return self.weight + F.pad(centre, (1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            x = F.conv2d(x, self.weight, self.bias, self.stride, 1)
        else:
            x = self.norm(F.conv2d(x, self.kernel(), None, self.stride, 1))
        return F.relu(x, inplace=True) if self.relu else x

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold branches and batch norm into one convolution; for inference, cannot be undone."""
        if self.bias is not None:
            return
        norm = self.norm
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        fused = self.kernel() * gain[:, None, None, None]
        self.weight = nn.Parameter(fused, requires_grad=False)
        self.bias = nn.Parameter(norm.bias - norm.running_mean * gain, requires_grad=False)
        self.point = self.identity = None
        self.norm = nn.Identity()


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the middle is a quarter of the INPUT width, at least 64.

    A stride 2 shortcut averages before its 1x1 convolution (ResNet-D).
    """

    def __init__(self, cin: int, cout: int, stride: int = 1):
        super().__init__()
        mid = max(cin // 4, 64)
        self.body = nn.Sequential(
            ConvBN(cin, mid), ConvBN(mid, mid, 3, stride), ConvBN(mid, cout, relu=False)
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            shortcut.append(nn.AvgPool2d(stride))
        if stride > 1 or cin != cout:
            shortcut.append(ConvBN(cin, cout, relu=False))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class RepBlock(nn.Module):
    """Two re-parameterisable 3x3 convolutions with a shortcut where shapes agree."""

    def __init__(self, cin: int, cout: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(RepConv(cin, cout, stride), RepConv(cout, cout, relu=False))
        self.has_shortcut = cin == cout and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return F.relu(y + x if self.has_shortcut else y, inplace=True)


BLOCKS = {'bottleneck': Bottleneck, 'rep': RepBlock}


def conv3x3(kind: str, cin: int, cout: int, stride: int = 1) -> nn.Module:
    """A 3x3 convolution with batch norm and ReLU in the flavour of block `kind`."""
    return RepConv(cin, cout, stride) if kind == 'rep' else ConvBN(cin, cout, 3, stride)


def group(kind: str, cin: int, cout: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` residual blocks; the first changes width and resolution."""
    block = BLOCKS[kind]
    return nn.Sequential(
        block(cin, cout, stride), *(block(cout, cout) for _ in range(blocks - 1))
    )
