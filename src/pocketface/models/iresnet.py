"""IResNet: the improved residual network that face recognition uses as teacher.

The layout and the names of the weights are those of arcface_torch (deepinsight/insightface), so
that its checkpoints load unchanged. In a block the stage's stride is in the second convolution.
"""

import torch
from torch import Tensor, nn

from pocketface.errors import RecipeError
from pocketface.models.backbone import STRIDES, Backbone, check_count
from pocketface.models.prelu import PReLU
from pocketface.models.registry import register


class IResBlock(nn.Module):
    """BN, 3x3 convolution, BN, PReLU, 3x3 convolution with the stride, BN; added to the input.

    (N, in_channels, H, W) becomes (N, out_channels, H / stride, W / stride). Where the shape
    changes the shortcut is a 1x1 convolution with the stride, then BN.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to `x` (N, in_channels, H, W)."""
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        residual: Tensor = self.bn3(self.conv2(y))
        return shortcut + residual


@register("iresnet_100", embedding_size=512, image_size=112, blocks=(3, 13, 30, 3))
@register("iresnet_90", embedding_size=512, image_size=112, blocks=(3, 8, 30, 3))
@register("iresnet_50", embedding_size=512, image_size=112, blocks=(3, 4, 14, 3))
@register("iresnet_34", embedding_size=512, image_size=112, blocks=(3, 4, 6, 3))
@register("iresnet_18", embedding_size=512, image_size=112, blocks=(2, 2, 2, 2))
class IResNet(Backbone):
    """A 3x3 stem, four stages of residual blocks, and a linear layer over the last map.

    `blocks` counts the blocks of the four stages; each stage halves the map, and the second to
    fourth double the channels from 64 x `width`. The tail is BN, flatten, linear, and a BN whose
    scale is fixed at 1. A `width` below 1 makes a small teacher (an option of ours).

    Raises RecipeError for an image size that is no multiple of 16, for `blocks` that are not
    four positive numbers, and for a `width` that leaves fewer than 4 channels.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        image_size: int,
        blocks: tuple[int, int, int, int],
        width: float = 1.0,
    ) -> None:
        blocks = _check_blocks(blocks)
        first = _first_channels(width)
        stages = (first, 2 * first, 4 * first, 8 * first)
        super().__init__(
            embedding_size, image_size, stages, {"blocks": list(blocks), "width": width}
        )
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.prelu = PReLU(first)
        self.layer1 = _stage(first, stages[0], blocks[0])
        self.layer2 = _stage(stages[0], stages[1], blocks[1])
        self.layer3 = _stage(stages[1], stages[2], blocks[2])
        self.layer4 = _stage(stages[2], stages[3], blocks[3])
        self.bn2 = nn.BatchNorm2d(stages[3])
        side = image_size // STRIDES[-1]
        self.fc = nn.Linear(stages[3] * side * side, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size)
        self.features.weight.requires_grad = False

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed `images` float (N, 3, H, W); gives (N, D) and the four stages' maps."""
        self.check_images(images)
        x = self.prelu(self.bn1(self.conv1(images)))
        stages: list[Tensor] = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            stages.append(x)
        return self.features(self.fc(self.bn2(x).flatten(1))), stages

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw the parameters anew; the choice is ours, no paper's.

        Convolutions are normal(0, 0.1), the linear layer is uniform within 1 / sqrt(inputs) with
        bias 0, BN is the identity and PReLU has slope 0.25. A BN follows each, so that the
        scale of the weights does not change the function.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1, generator=generator)
            elif isinstance(module, nn.Linear):
                bound = module.in_features**-0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.PReLU):
                module.reset_parameters()


def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Build a stage: a block of stride 2, then blocks of stride 1."""
    return nn.Sequential(
        IResBlock(in_channels, out_channels, stride=2),
        *(IResBlock(out_channels, out_channels, stride=1) for _ in range(blocks - 1)),
    )


def _check_blocks(blocks: object) -> tuple[int, int, int, int]:
    """Give `blocks` as a tuple; RecipeError unless it is four positive whole numbers."""
    if not isinstance(blocks, list | tuple) or len(blocks) != len(STRIDES):
        raise RecipeError(f"blocks must be four numbers, one per stage, got {blocks!r}.")
    for count in blocks:
        check_count("each of blocks", count, least=1)
    first, second, third, fourth = blocks
    return first, second, third, fourth


def _first_channels(width: object) -> int:
    """Give the channels of the first stage; RecipeError if `width` leaves too few."""
    if not isinstance(width, int | float) or isinstance(width, bool) or round(64 * width) < 4:
        raise RecipeError(
            f"width multiplies 64 channels and must leave at least 4: a number of at least "
            f"0.0625, got {width!r}."
        )
    return round(64 * width)
