"""The mixed operation of DARTS on PocketNet's primitives, for all edges that leave one map.

Shapes: N images, E edges, C channels, height H and width W in pixels. An edge is the sum of the
eight primitives, each times its weight (DARTS, arXiv 1806.09055; primitives of arXiv 2108.10710).

The edges that leave one map read the same pixels, so they are computed together:

- batch norm has no parameters of its own during a search, so the pooled and normalised maps are
  the same on every edge, and are made once;
- the convolutions of one kernel size run as one convolution with the channels of all edges;
- a depthwise 1x1 convolution is a scale of the pointwise weights, and what it skips with stride 2
  is left out before the PReLU;
- a primitive's weight is the scale of its batch norm.

Each parameter and its gradient is what it would be if every primitive stood alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketface.models.genotype import PRIMITIVES

NONE = "none"
SEARCH_PRIMITIVES: tuple[str, ...] = (*PRIMITIVES, NONE)
"""The columns of the architecture weights: those of a genotype, then `none`, which is zero."""

MAX_POOL = SEARCH_PRIMITIVES.index("max_pool_3x3")
AVG_POOL = SEARCH_PRIMITIVES.index("avg_pool_3x3")
SKIP = SEARCH_PRIMITIVES.index("skip_connect")

KERNELS: dict[str, int] = {
    "dw_conv_3x3": 3,
    "dw_conv_5x5": 5,
    "dw_conv_7x7": 7,
    "dw_conv_1x1": 1,
}
"""The separable convolutions and their kernels, in pixels."""


class _BranchedPReLU(torch.autograd.Function):
    """One map through several PReLUs; keeps the map alone for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        """X (N, C, H, W), slopes (E, C); gives (N, E x C, H, W)."""
        ctx.save_for_backward(x, slopes)
        return _branched(x, slopes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients with regard to x and slopes, from differentiable operations."""
        x, slopes = ctx.saved_tensors
        gradient = gradients[0].reshape(len(x), *slopes.shape, *x.shape[2:])
        plain = gradient.sum(dim=1)
        slanted = (gradient * _broadcast(slopes.to(gradient.dtype))).sum(dim=1)
        to_x = slanted + torch.ops.aten.threshold_backward(plain - slanted, x, 0)
        below = x.clamp_max(0).unsqueeze(1)
        return to_x, (gradient * below).sum(dim=(0, 3, 4)).to(slopes.dtype)


def _broadcast(slopes: Tensor) -> Tensor:
    return slopes.view(1, *slopes.shape, 1, 1)


def _branched(x: Tensor, slopes: Tensor) -> Tensor:
    below = x.clamp_max(0).unsqueeze(1) * _broadcast(slopes.to(x.dtype))
    return (below + x.clamp_min(0).unsqueeze(1)).flatten(1, 2)


def branched_prelu(x: Tensor, slopes: Tensor) -> Tensor:
    """Apply E PReLUs with `slopes` (E, C) to `x` (N, C, H, W); gives (N, E x C, H, W).

    The gradients can be differentiated again.
    """
    if torch.is_grad_enabled():
        y: Tensor = _BranchedPReLU.apply(x, slopes)  # type: ignore[no-untyped-call]
        return y
    return _branched(x, slopes)


class ScaledBatchNorm(nn.BatchNorm2d):
    """Batch norm without parameters, times a given number per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Normalise `x` (N, channels, H, W), then multiply by `scale` (channels,)."""
        tracked = self.track_running_stats or not self.training
        return F.batch_norm(
            x,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            weight=scale,
            training=self.training,
            momentum=0.1 if self.momentum is None else self.momentum,
            eps=self.eps,
        )


class SeparableEdges(nn.Module):
    """One separable convolution on E edges: PReLU, depthwise, pointwise, batch norm; no biases.

    Its parameters are those of the E primitives, one after the other along the first axis.
    """

    def __init__(self, channels: int, edges: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = edges * channels
        self.edges = edges
        self.kernel = kernel
        self.stride = stride
        self.slope = nn.Parameter(torch.empty(edges, channels))
        self.depthwise = nn.Parameter(torch.empty(wide, 1, kernel, kernel))
        self.pointwise = nn.Parameter(torch.empty(wide, channels, 1, 1))
        self.bn = ScaledBatchNorm(wide)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Give (N, E x C, H / stride, W / stride) of `x` (N, C, H, W); `weights` (E,)."""
        wide, channels = self.pointwise.shape[:2]
        pointwise: Tensor = self.pointwise
        if self.kernel == 1:
            x = x[:, :, :: self.stride, :: self.stride]
            pointwise = pointwise * self.depthwise.view(self.edges, 1, channels, 1, 1).expand(
                -1, channels, -1, -1, -1
            ).flatten(0, 1)
        x = branched_prelu(x, self.slope)
        if self.kernel != 1:
            x = F.conv2d(
                x, self.depthwise, stride=self.stride, padding=self.kernel // 2, groups=wide
            )
        x = F.conv2d(x, pointwise, groups=self.edges)
        y: Tensor = self.bn(x, weights.repeat_interleave(channels))
        return y


class ReducedSkips(nn.Module):
    """`skip_connect` with stride 2 on E edges: a factorised reduction each.

    PReLU, then two halves, each a depthwise 1x1 convolution of stride 2 and a pointwise one to
    C / 2; the second reads the map shifted by one pixel in both axes; together, batch norm.
    """

    def __init__(self, channels: int, edges: int) -> None:
        super().__init__()
        self.edges = edges
        self.slope = nn.Parameter(torch.empty(edges, channels))
        # Axis 1 holds the two halves.
        self.depthwise = nn.Parameter(torch.empty(edges, 2, channels, 1, 1))
        self.pointwise = nn.Parameter(torch.empty(edges, 2, channels // 2, channels))
        self.bn = ScaledBatchNorm(edges * channels)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Give (N, E x C, H / 2, W / 2) of `x` (N, C, H, W) with even H and W."""
        channels = x.shape[1]
        kernels = self.pointwise * self.depthwise.view(self.edges, 2, 1, channels)
        halves = []
        for half, pixels in enumerate((x[:, :, ::2, ::2], x[:, :, 1::2, 1::2])):
            weight = kernels[:, half].flatten(0, 1)[:, :, None, None]
            y = F.conv2d(branched_prelu(pixels, self.slope), weight, groups=self.edges)
            halves.append(_by_edge(y, self.edges))
        joined = torch.cat(halves, dim=2).flatten(1, 2)
        z: Tensor = self.bn(joined, weights.repeat_interleave(channels))
        return z


class MixedEdges(nn.Module):
    """The E edges that leave one map, each the weighted sum of the eight primitives.

    Args:
        channels: C, even.
        edges: E.
        stride: 1, or 2 where a reduction cell's input is left.
    """

    def __init__(self, channels: int, edges: int, stride: int) -> None:
        super().__init__()
        self.edges = edges
        self.stride = stride
        self.convolutions = nn.ModuleDict(
            {
                name: SeparableEdges(channels, edges, kernel, stride)
                for name, kernel in KERNELS.items()
            }
        )
        self.skips = None if stride == 1 else ReducedSkips(channels, edges)
        self.max_bn = ScaledBatchNorm(channels)
        self.avg_bn = ScaledBatchNorm(channels)

    def forward(self, x: Tensor, weights: Tensor, skip_scale: Tensor | None = None) -> Tensor:
        """Give what each edge adds to its node: (N, E, C, H / stride, W / stride).

        Args:
            x: (N, C, H, W).
            weights: (E, 8), of the primitives in the order of `SEARCH_PRIMITIVES`.
            skip_scale: (N, E), by which the skip connections are multiplied; None is one.
        """
        shared = [
            self.max_bn(F.max_pool2d(x, 3, self.stride, 1)),
            self.avg_bn(F.avg_pool2d(x, 3, self.stride, 1, count_include_pad=False)),
        ]
        columns = weights[:, [MAX_POOL, AVG_POOL]]
        total: Tensor | None = None
        if self.skips is None:
            shared.append(x)
            skip = weights[:, SKIP : SKIP + 1]
            if skip_scale is not None:
                columns = columns.expand(len(x), -1, -1)
                skip = skip * skip_scale.unsqueeze(2)
            columns = torch.cat((columns, skip), dim=-1)
        else:
            total = _by_edge(self.skips(x, weights[:, SKIP]), self.edges)
            if skip_scale is not None:
                total = total * skip_scale.view(len(x), self.edges, 1, 1, 1)
        mixed = columns.to(x.dtype) @ torch.stack(shared, dim=1).flatten(2)
        mixed = mixed.reshape(len(x), self.edges, *shared[0].shape[1:])
        total = mixed if total is None else total + mixed
        for column, name in enumerate(SEARCH_PRIMITIVES):
            if name in self.convolutions:
                y = self.convolutions[name](x, weights[:, column])
                total = total + _by_edge(y, self.edges)
        return total


def _by_edge(x: Tensor, edges: int) -> Tensor:
    """(N, E x C, H, W) as (N, E, C, H, W)."""
    return x.reshape(len(x), edges, -1, *x.shape[2:])


def stacked_rows(matrix: Tensor, rows: Sequence[int]) -> Tensor:
    """The chosen rows of `matrix`, in that order."""
    return torch.stack([matrix[row] for row in rows])
