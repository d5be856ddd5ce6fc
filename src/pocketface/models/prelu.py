"""PReLU with a faster gradient on the CPU: the same function, parameters and names as torch's.

On a CPU the gradient of torch's own kernel takes almost half of a PocketNet's training step; four
vectorised passes and a sum do the same work in a quarter of its time, and less where a large map
is taken a few images at a time, so that the passes after the first find it in the cache.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BLOCK = 1 << 18
"""Numbers that are worked on at a time: 1 MB in float32."""


class _PReLU(torch.autograd.Function):
    """Gradients of x where x > 0, else slope x, from differentiable operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        """X (N, C, H, W), slope (C,)."""
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients with regard to x and slope."""
        (gradient,) = gradients
        x, slope = ctx.saved_tensors
        # Gradients that are wanted of this gradient need it as one piece.
        images = len(x) if torch.is_grad_enabled() else _BLOCK * len(x) // max(1, x.numel())
        if images >= len(x):
            return _to_map(gradient, x, slope), _to_slope(gradient, x)
        to_x, to_slope = torch.empty_like(gradient), torch.zeros_like(slope)
        blocks = (tensor.split(max(1, images)) for tensor in (gradient, x, to_x))
        for part, x_part, to_part in zip(*blocks, strict=True):
            to_part.copy_(_to_map(part, x_part, slope))
            to_slope += _to_slope(part, x_part)
        return to_x, to_slope


def _to_map(gradient: Tensor, x: Tensor, slope: Tensor) -> Tensor:
    # Not torch.where, whose kernel on a CPU is ten times slower than arithmetic.
    above = torch.ops.aten.threshold_backward(gradient, x, 0)
    # Under autocast the maps are bfloat16 and the slopes are not; lerp wants one type.
    return torch.lerp(above, gradient, slope.to(gradient.dtype).view(1, -1, 1, 1))


def _to_slope(gradient: Tensor, x: Tensor) -> Tensor:
    return (gradient * x.clamp_max(0)).sum(dim=(0, 2, 3))


class PReLU(nn.PReLU):
    """Parametric ReLU with one slope per channel, on maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """X where x > 0, else slope x."""
        if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            y: Tensor = _PReLU.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return y
        return F.prelu(x, self.weight)
