"""PReLU with a faster gradient on the CPU: the same function, parameters and names as torch's.

On a CPU the gradient of torch's own kernel takes almost half of a PocketNet's training step; four
vectorised passes and a sum do the same work in a quarter of its time.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        # Not torch.where, whose kernel on a CPU is ten times slower than arithmetic.
        above = torch.ops.aten.threshold_backward(gradient, x, 0)
        # Under autocast the maps are bfloat16 and the slopes are not; lerp wants one type.
        to_x = torch.lerp(above, gradient, slope.to(gradient.dtype).view(1, -1, 1, 1))
        return to_x, (gradient * x.clamp_max(0)).sum(dim=(0, 2, 3))


class PReLU(nn.PReLU):
    """Parametric ReLU with one slope per channel, on maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """X where x > 0, else slope x."""
        if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            y: Tensor = _PReLU.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return y
        return F.prelu(x, self.weight)
