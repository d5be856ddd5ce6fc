"""MobileFaceNet and its relatives: inverted residuals with PReLU, made for faces."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pocketface.errors import RecipeError
from pocketface.models.backbone import STRIDES, Backbone, check_count
from pocketface.models.mobile_blocks import (
    Activation,
    ConvBlock,
    GlobalDepthwise,
    InvertedResidual,
    activate,
    initialise_mobile,
)
from pocketface.models.registry import register

Row = tuple[int, int, int, int]
"""Expansion, channels, blocks and the first block's stride, as the paper's table has them."""

ORIGINAL: tuple[Row, ...] = (
    *((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1)),
    *((4, 128, 1, 2), (2, 128, 2, 1)),
)
"""Table 1 of the paper."""

# Twice the channels at half the expansion, with two more blocks in the middle: the layout that
# face recognition code mostly means by MobileFaceNet today.
WIDE: tuple[Row, ...] = (
    *((2, 128, 1, 2), (1, 128, 4, 1), (2, 256, 1, 2), (1, 256, 6, 1)),
    *((2, 256, 1, 2), (1, 256, 2, 1)),
)

# The four blocks end with the widths of an IResNet's stages, 64, 128, 256 and 512; expansions ours.
RESNET_SHAPED: tuple[Row, ...] = (
    *((2, 128, 1, 2), (2, 128, 4, 1), (2, 256, 1, 2), (1, 256, 6, 1)),
    *((2, 512, 1, 2), (1, 512, 2, 1)),
)


@register("mobilefacenet", embedding_size=128, image_size=112, rows=ORIGINAL)
@register("mobilefacenet_wide", embedding_size=512, image_size=112, rows=WIDE)
@register("mfn_r", embedding_size=512, image_size=112, rows=RESNET_SHAPED)
@register(
    "mobilefacenet_foamliu",
    embedding_size=128,
    image_size=112,
    rows=ORIGINAL,
    variant="foamliu",
)
class MobileFaceNet(Backbone):
    """MobileFaceNet (arXiv 1804.07573, Table 1): a stem and five groups of inverted residuals.

    `rows` are (expansion, channels, blocks, stride of the first); their strides make three
    reductions after the stem's. The tail is a 1x1 convolution to 512, a depthwise convolution
    over the whole map, a 1x1 convolution to the embedding, and BN. `variant`:

    - "paper": PReLU everywhere, a depthwise stem;
    - "foamliu": the layout of foamliu/MobileFaceNet, whose published weights load unchanged: ReLU6,
      a separable stem with ReLU, a bias in the last convolution.

    `mobilefacenet` is the paper's network, `mobilefacenet_wide` the common one of 2 million
    parameters, `mfn_r` ShrinkTeaNet's MFN-R (its exact layout is unknown to us; ours), whose blocks
    need no mapping to an IResNet's. Raises RecipeError for other rows or variants.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        image_size: int,
        rows: Sequence[Sequence[int]],
        variant: str = "paper",
    ) -> None:
        checked = _check_rows(rows)
        if variant not in ("paper", "foamliu"):
            raise RecipeError(f"variant must be 'paper' or 'foamliu', got {variant!r}.")
        paper = variant == "paper"
        ends = _stage_ends(checked)
        super().__init__(
            embedding_size,
            image_size,
            (64, *(checked[end][1] for end in ends)),  # type: ignore[arg-type]
            {"rows": [list(row) for row in checked], "variant": variant},
        )
        activation: Activation = "prelu" if paper else "relu6"
        self.conv1 = ConvBlock(3, 64, 3, 2, activation=activation)
        self.dw_conv = _Stem(64, separable=not paper)
        blocks: list[InvertedResidual] = []
        channels = 64
        self.ends: list[int] = []  # the last block of each of the stages two to four
        for number, (expansion, width, count, stride) in enumerate(checked):
            for block in range(count):
                step = stride if block == 0 else 1
                blocks.append(InvertedResidual(channels, width, step, expansion, activation))
                channels = width
            if number in ends:
                self.ends.append(len(blocks) - 1)
        self.features = nn.Sequential(*blocks)
        self.conv2 = ConvBlock(channels, 512, 1, activation=activation)
        self.gdconv = GlobalDepthwise(512, image_size // STRIDES[-1])
        self.conv3 = nn.Conv2d(512, embedding_size, 1, bias=not paper)
        self.bn = nn.BatchNorm1d(embedding_size)

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed `images` float (N, 3, H, W); gives (N, D) and the four stages' maps."""
        self.check_images(images)
        x = self.dw_conv(self.conv1(images))
        stages = [x]
        for number, block in enumerate(self.features):
            x = block(x)
            if number in self.ends:
                stages.append(x)
        return self.bn(self.conv3(self.gdconv(self.conv2(x))).flatten(1)), stages

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw the parameters anew; see `initialise_mobile`."""
        initialise_mobile(self, generator)


class _Stem(nn.Module):
    """A depthwise 3x3 convolution with BN and PReLU; separable: a 1x1 convolution too, and ReLU."""

    def __init__(self, channels: int, *, separable: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = activate("relu" if separable else "prelu", channels)
        self.separable = separable
        if separable:
            self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.act2 = activate("relu", channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `x` (N, C, H, W)."""
        x = self.act1(self.bn1(self.depthwise(x)))
        return self.act2(self.bn2(self.pointwise(x))) if self.separable else x


def _check_rows(rows: object) -> list[Row]:
    """Give `rows` as tuples; RecipeError unless they are counts with three reductions."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise RecipeError(f"rows must be a list of [expansion, channels, blocks, stride]: {rows!r}")
    checked: list[Row] = []
    for row in rows:
        if not isinstance(row, Sequence) or len(row) != 4:
            raise RecipeError(f"a row must be [expansion, channels, blocks, stride], got {row!r}.")
        for name, value in zip(("expansion", "channels", "blocks", "stride"), row, strict=True):
            check_count(name, value, least=1)
        expansion, channels, blocks, stride = row
        if stride > 2:
            raise RecipeError(f"stride must be 1 or 2, got {stride}.")
        checked.append((expansion, channels, blocks, stride))
    strides = [row[3] for row in checked]
    if strides[0] != 2 or strides.count(2) != 3:
        raise RecipeError(
            f"the strides of rows must hold three 2, the first of them first, got {strides}: the "
            "stem halves the image once, and the last map is a sixteenth of it."
        )
    return checked


def _stage_ends(rows: Sequence[Row]) -> list[int]:
    """The last row before each reduction, and the last of all."""
    return [i for i in range(len(rows)) if i + 1 == len(rows) or rows[i + 1][3] == 2]
