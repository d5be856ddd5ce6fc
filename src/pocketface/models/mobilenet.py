"""MobileNetV1 and MobileNetV2 for aligned faces of 112 pixels.

The published networks halve an image of 224 pixels five times. Here the first convolution keeps the
size, so that the four reductions that remain end at a map of 7x7, as other face networks do; the
tail is MobileFaceNet's. Both are our adaptation: ShrinkTeaNet's own is not known to us.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pocketface.models.backbone import STRIDES, Backbone
from pocketface.models.mobile_blocks import (
    ConvBlock,
    GlobalDepthwise,
    InvertedResidual,
    initialise_mobile,
)
from pocketface.models.registry import register

# Channels and stride of each separable block (arXiv 1704.04861, Table 1).
_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)

# Expansion, channels, blocks, stride (arXiv 1801.04381, Table 2).
_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class _MobileNet(Backbone):
    """What both have in common: a stem, blocks of which four end a stage, and a tail.

    `blocks` are (module, output channels, stride); `last` is the width before the embedding.
    """

    def __init__(
        self,
        embedding_size: int,
        image_size: int,
        stem: int,
        blocks: Iterable[tuple[nn.Module, int, int]],
        last: int,
    ) -> None:
        made = list(blocks)
        # A stage ends before the next reduction; before the first one there is none to end.
        starts = [i for i, (_, _, stride) in enumerate(made) if stride == 2]
        ends = [start - 1 for start in starts[1:]] + [len(made) - 1]
        super().__init__(
            embedding_size,
            image_size,
            tuple(made[end][1] for end in ends),  # type: ignore[arg-type]
            {},
        )
        self.ends = ends
        self.stem = ConvBlock(3, stem, 3, activation="relu6")
        self.blocks = nn.Sequential(*(block for block, _, _ in made))
        channels = made[-1][1]
        expand = [ConvBlock(channels, last, 1, activation="relu6")] if last != channels else []
        self.expand = nn.Sequential(*expand)
        self.gdconv = GlobalDepthwise(last, image_size // STRIDES[-1])
        self.linear = nn.Conv2d(last, embedding_size, 1, bias=False)
        self.bn = nn.BatchNorm1d(embedding_size)

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed `images` float (N, 3, H, W); gives (N, D) and the four stages' maps."""
        self.check_images(images)
        x = self.stem(images)
        stages = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                stages.append(x)
        return self.bn(self.linear(self.gdconv(self.expand(x))).flatten(1)), stages

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw the parameters anew; see `initialise_mobile`."""
        initialise_mobile(self, generator)


@register("mobilenet_v1", embedding_size=512, image_size=112)
class MobileNetV1(_MobileNet):
    """MobileNetV1 (arXiv 1704.04861): 13 depthwise separable convolutions, here with ReLU6."""

    def __init__(self, *, embedding_size: int, image_size: int) -> None:
        channels = 32
        blocks = []
        for width, stride in _V1:
            depthwise = ConvBlock(channels, channels, 3, stride, channels, "relu6")
            pointwise = ConvBlock(channels, width, 1, activation="relu6")
            blocks.append((nn.Sequential(depthwise, pointwise), width, stride))
            channels = width
        super().__init__(embedding_size, image_size, 32, blocks, last=1024)


@register("mobilenet_v2", embedding_size=512, image_size=112)
class MobileNetV2(_MobileNet):
    """MobileNetV2 (arXiv 1801.04381): 17 inverted residuals; the last 1280 channels are 512."""

    def __init__(self, *, embedding_size: int, image_size: int) -> None:
        channels = 32
        blocks = []
        for expansion, width, count, stride in _V2:
            for number in range(count):
                step = stride if number == 0 else 1
                block = InvertedResidual(
                    channels, width, step, expansion, "relu6", thin=expansion == 1
                )
                blocks.append((block, width, step))
                channels = width
        super().__init__(embedding_size, image_size, 32, blocks, last=512)
