"""PocketNet: a network of searched cells (Boutros et al., arXiv 2108.10710, IEEE Access 10)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pocketface.errors import RecipeError
from pocketface.models.backbone import STRIDES, Backbone, check_count
from pocketface.models.cell import Cell
from pocketface.models.genotype import NODES, Genotype, resolve_genotype
from pocketface.models.prelu import PReLU
from pocketface.models.registry import register

LEAST_CELLS = 4
"""Fewer cells leave no room for a stage before each of the three reductions."""


def tail_width(embedding_size: int) -> int:
    """Give the channels between the last cell and the embedding.

    The paper takes 512 for 128-D and 256-D embeddings and 1024 for 512-D. Our rule for all
    sizes, which agrees with these: twice the embedding, but at least 512.
    """
    return max(512, 2 * embedding_size)


def reduction_places(cells: int) -> tuple[int, int, int]:
    """Which of so many cells are reduction cells, counted from 0."""
    return cells // 3, 2 * cells // 3, cells - 1


def build_stem(width: int) -> nn.Sequential:
    """A 3x3 convolution of stride 2 from an image to `width` channels, batch norm."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)
    )


def build_tail(
    channels: int, hidden: int, image_size: int, embedding_size: int, *, groups: int
) -> nn.Sequential:
    """From the last map, `channels` wide, to the embedding (N, embedding_size, 1, 1).

    PReLU, 1x1 convolution to `hidden`, BN, PReLU, a convolution as large as the map in `groups`
    groups, BN, 1x1 convolution to the embedding, BN.
    """
    return nn.Sequential(
        PReLU(channels),
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        PReLU(hidden),
        nn.Conv2d(hidden, hidden, image_size // STRIDES[-1], groups=groups, bias=False),
        nn.BatchNorm2d(hidden),
        nn.Conv2d(hidden, embedding_size, 1, bias=False),
        nn.BatchNorm2d(embedding_size),
    )


@register("pocketnet_nano", embedding_size=128, image_size=64, channels=8, cells=5)
@register("pocketnet_m_256", embedding_size=256, image_size=112, channels=32, cells=9)
@register("pocketnet_m_128", embedding_size=128, image_size=112, channels=32, cells=9)
@register("pocketnet_s_256", embedding_size=256, image_size=112, channels=16, cells=18)
@register("pocketnet_s_128", embedding_size=128, image_size=112, channels=16, cells=18)
class PocketNet(Backbone):
    """A stem, `cells` cells of one genotype, and a tail that reads the last map whole.

    The stem (3x3 convolution of stride 2 to 4 x `channels`, batch norm) feeds both inputs of the
    first cell. The cells at `cells // 3`, `2 * cells // 3` and `cells - 1` are reduction cells;
    each halves the map and doubles the channels. The tail is PReLU, 1x1 convolution to
    `tail_width`, BN, PReLU, a depthwise convolution as large as the map, BN, 1x1 convolution to
    the embedding, BN.

    The stages of `forward_stages` are the outputs of the last cells at each size; with 16
    channels they have 64, 128, 256 and 512 channels.

    `genotype` is a Genotype, the name of a preset ('faces', 'cifar10'), or a genotype's dict. The
    S and M networks are the paper's; `pocketnet_nano` is ours, quick to train on a CPU.

    Raises RecipeError for an image size that is no multiple of 16, for odd `channels`, for
    fewer than four cells, and for what is no genotype.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        image_size: int,
        channels: int,
        cells: int,
        genotype: Genotype | str | Mapping[str, Any] = "faces",
    ) -> None:
        check_count("channels", channels, least=2)
        if channels % 2:
            raise RecipeError(
                f"channels must be even, got {channels}: "
                "a factorised reduction gives half of them to each of its two halves."
            )
        check_count("cells", cells, least=LEAST_CELLS)
        width = NODES * channels
        genotype = resolve_genotype(genotype)
        super().__init__(
            embedding_size,
            image_size,
            (width, 2 * width, 4 * width, 8 * width),
            {"channels": channels, "cells": cells, "genotype": genotype.to_dict()},
        )
        self.genotype = genotype
        reductions = reduction_places(cells)
        self.stage_ends = (reductions[0] - 1, reductions[1] - 1, cells - 2, cells - 1)
        self.stem = build_stem(width)
        self.cells = nn.ModuleList()
        before, previous, previous_reduces = width, width, False
        for index in range(cells):
            reduces = index in reductions
            channels *= 2 if reduces else 1
            self.cells.append(
                Cell(
                    self.genotype.reduce if reduces else self.genotype.normal,
                    before,
                    previous,
                    channels,
                    reduces=reduces,
                    previous_reduces=previous_reduces,
                )
            )
            before, previous, previous_reduces = previous, NODES * channels, reduces
        hidden = tail_width(embedding_size)
        self.tail = build_tail(previous, hidden, image_size, embedding_size, groups=hidden)

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed `images` float (N, 3, H, W); gives (N, D) and the four stages' maps."""
        self.check_images(images)
        before = previous = self.stem(images)
        stages: list[Tensor] = []
        for index, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous)
            if index in self.stage_ends:
                stages.append(previous)
        return self.tail(previous).flatten(1), stages

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw convolutions Kaiming-uniform (as the paper), set BN to identity, PReLU to 0.25."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, generator=generator)
            elif isinstance(module, nn.BatchNorm2d | nn.PReLU):
                module.reset_parameters()
