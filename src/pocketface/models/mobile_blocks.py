"""What the mobile networks are made of: convolutions with BN, inverted residuals, the tail."""

from typing import Literal

import torch
from torch import Tensor, nn

from pocketface.models.prelu import PReLU

Activation = Literal["prelu", "relu6", "relu"]


class ConvBlock(nn.Sequential):
    """A convolution without bias, BN, and an activation unless it is None.

    (N, in_channels, H, W) becomes (N, out_channels, H / stride, W / stride); `groups` equal to
    the channels make it depthwise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = "prelu",
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(out_channels),
        ]
        if activation is not None:
            layers.append(activate(activation, out_channels))
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter by a depthwise 3x3 with the stride, project by 1x1 without activation.

    From MobileNetV2 (arXiv 1801.04381). The input is added where the shape stays. With
    `expansion` 1 and `thin` the first convolution is left out, as MobileNetV2 does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expansion: int,
        activation: Activation,
        *,
        thin: bool = False,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        expand = [] if thin else [ConvBlock(in_channels, inner, 1, activation=activation)]
        self.conv = nn.Sequential(
            *expand,
            ConvBlock(inner, inner, 3, stride, groups=inner, activation=activation),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to `x` (N, in_channels, H, W)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class GlobalDepthwise(nn.Module):
    """A depthwise convolution over the whole map, then BN; (N, C, S, S) becomes (N, C, 1, 1).

    From MobileFaceNet (arXiv 1804.07573): unlike average pooling it weighs the places of a face
    differently.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `x` (N, C, S, S)."""
        y: Tensor = self.bn(self.depthwise(x))
        return y


def activate(activation: Activation, channels: int) -> nn.Module:
    """The layer of an activation for this many channels."""
    if activation == "prelu":
        return PReLU(channels)
    return nn.ReLU6() if activation == "relu6" else nn.ReLU()


def initialise_mobile(network: nn.Module, generator: torch.Generator | None) -> None:
    """Draw all parameters anew; ours: He's normal over a filter's outputs, BN the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            deviation = (2.0 * module.groups / fan) ** 0.5
            nn.init.normal_(module.weight, 0.0, deviation, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.PReLU):
            module.reset_parameters()
