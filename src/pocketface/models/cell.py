"""The operations of PocketNet's search space, and the cell built from them.

Shapes: N images, C channels, height H and width W in pixels. Module names follow the published
checkpoints, so that these load unchanged (arXiv 2108.10710 and its released weights).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, Edge
from pocketface.models.prelu import PReLU

_LEAST_STRIDED = 8
"""Channels below which a strided 1x1 convolution is not asked of a CPU: its gradient in torch 2.13
writes beyond its memory on processors with AVX2 where maps are in channels_last."""


def folded_conv2d(x: Tensor, depthwise: nn.Conv2d, pointwise: nn.Conv2d, stride: int) -> Tensor:
    """Apply a depthwise 1x1 convolution and then a pointwise one, as one convolution.

    A depthwise 1x1 convolution is a scale per channel, so the pointwise weights (C_out, C_in, 1,
    1) times that scale compute the same function with the same gradients; no map is stored
    between the two. `x` is (N, C_in, H, W); gives (N, C_out, H / stride, W / stride), rounded up.
    """
    weight = pointwise.weight * depthwise.weight.view(1, -1, 1, 1)
    if stride > 1 and x.shape[1] < _LEAST_STRIDED and x.device.type == "cpu":
        x, stride = x[:, :, ::stride, ::stride], 1
    return F.conv2d(x, weight, stride=stride)


class SeparableConv(nn.Module):
    """PReLU, depthwise k x k (here is the stride), pointwise 1x1, batch norm; no biases.

    (N, in_channels, H, W) becomes (N, out_channels, H / stride, W / stride). With kernel 1 it is
    also the preprocessing of a cell's inputs, and the two convolutions are computed as one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.folds = kernel == 1
        self.net = nn.Sequential(
            PReLU(in_channels),
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel,
                stride=stride,
                padding=kernel // 2,
                groups=in_channels,
                bias=False,
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    @property
    def depthwise(self) -> nn.Conv2d:
        """The depthwise convolution."""
        layer = self.net[1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    @property
    def pointwise(self) -> nn.Conv2d:
        """The pointwise convolution."""
        layer = self.net[2]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Apply the four steps to `x` (N, in_channels, H, W)."""
        if not self.folds:
            y: Tensor = self.net(x)
            return y
        x = self.net[0](x)
        x = folded_conv2d(x, self.depthwise, self.pointwise, self.stride)
        normalised: Tensor = self.net[3](x)
        return normalised


class FactorisedReduction(nn.Module):
    """Halve the map without losing rows: PReLU, two 1x1 halves of stride 2, batch norm.

    The second half reads the map shifted by one pixel in both axes, so that the two halves
    together read the pixels of two diagonals of every 2x2 square. (N, in_channels, H, W) with H
    and W even becomes (N, out_channels, H / 2, W / 2); out_channels is even.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.relu = PReLU(in_channels)
        self.conv11 = nn.Conv2d(
            in_channels, in_channels, 1, stride=2, groups=in_channels, bias=False
        )
        self.conv12 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.conv21 = nn.Conv2d(
            in_channels, in_channels, 1, stride=2, groups=in_channels, bias=False
        )
        self.conv22 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Reduce `x` (N, in_channels, H, W) with even H and W."""
        x = self.relu(x)
        first = folded_conv2d(x, self.conv11, self.conv12, stride=2)
        second = folded_conv2d(x[:, :, 1:, 1:], self.conv21, self.conv22, stride=2)
        y: Tensor = self.bn(torch.cat((first, second), dim=1))
        return y


class Pool(nn.Module):
    """A 3x3 pool with padding 1, then batch norm; an average excludes the padding."""

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d, channels: int) -> None:
        super().__init__()
        self.pool = pool
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x` (N, C, H, W) to (N, C, H / stride, W / stride)."""
        y: Tensor = self.bn(self.pool(x))
        return y


_KERNELS = {"dw_conv_1x1": 1, "dw_conv_3x3": 3, "dw_conv_5x5": 5, "dw_conv_7x7": 7}


def primitive(name: str, channels: int, stride: int) -> nn.Module:
    """Build one operation of the search space, from (N, C, H, W) to (N, C, H / stride, ...).

    `name` is one of `genotype.PRIMITIVES`; KeyError for any other.
    """
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorisedReduction(channels, channels)
    if name == "max_pool_3x3":
        return Pool(nn.MaxPool2d(3, stride=stride, padding=1), channels)
    if name == "avg_pool_3x3":
        pool = nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
        return Pool(pool, channels)
    return SeparableConv(channels, channels, _KERNELS[name], stride)


def preprocessing(
    channels_before: int, channels_previous: int, channels: int, *, previous_reduces: bool
) -> tuple[nn.Module, nn.Module]:
    """What brings a cell's two inputs to `channels`, and input 0 to the size of input 1."""
    before = (
        FactorisedReduction(channels_before, channels)
        if previous_reduces
        else SeparableConv(channels_before, channels, kernel=1, stride=1)
    )
    return before, SeparableConv(channels_previous, channels, kernel=1, stride=1)


class Cell(nn.Module):
    """Four nodes, each the sum of two edges; the output is their concatenation.

    Inputs are the outputs of the cell before the previous one, with `channels_before`, and of
    the previous cell, with `channels_previous`; both are brought to `channels`. The output has
    4 x `channels`. In a reduction cell the edges that leave an input have stride 2.
    `previous_reduces` says that input 0 is twice as large as input 1 and must be reduced first.
    """

    def __init__(
        self,
        edges: tuple[Edge, ...],
        channels_before: int,
        channels_previous: int,
        channels: int,
        *,
        reduces: bool,
        previous_reduces: bool,
    ) -> None:
        super().__init__()
        self.preproc0, self.preproc1 = preprocessing(
            channels_before, channels_previous, channels, previous_reduces=previous_reduces
        )
        self.sources = tuple(index for _, index in edges)
        operations = [
            primitive(name, channels, stride=2 if reduces and index < INPUTS else 1)
            for name, index in edges
        ]
        self.dag = nn.ModuleList(
            nn.ModuleList(operations[node * EDGES_PER_NODE : (node + 1) * EDGES_PER_NODE])
            for node in range(NODES)
        )

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        """Compute the cell on its two inputs; gives (N, 4 x channels, H', W')."""
        maps = [self.preproc0(before), self.preproc1(previous)]
        for node, operations in enumerate(self.dag):
            assert isinstance(operations, nn.ModuleList)
            sources = self.sources[node * EDGES_PER_NODE : (node + 1) * EDGES_PER_NODE]
            first, second = (
                operation(maps[source])
                for operation, source in zip(operations, sources, strict=True)
            )
            maps.append(first + second)
        return torch.cat(maps[INPUTS:], dim=1)
