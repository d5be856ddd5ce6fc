"""The network that is searched: cells of mixed operations between PocketNet's stem and tail."""

from typing import cast

import torch
from torch import Tensor, nn

from pocketface.errors import RecipeError
from pocketface.models.backbone import STRIDES
from pocketface.models.cell import preprocessing
from pocketface.models.genotype import INPUTS, NODES
from pocketface.models.pocketnet import LEAST_CELLS, build_stem, build_tail, reduction_places
from pocketface.search.architecture import edge_index
from pocketface.search.mixed import MixedEdges, ReducedSkips, SeparableEdges, stacked_rows

STEM_MULTIPLIER = 3
"""The stem of the searched network has three times C channels; a PocketNet's has four times."""

SOURCES = INPUTS + NODES - 1
"""Maps that edges leave: both inputs and every node but the last."""


class SearchCell(nn.Module):
    """A cell in which every node reads every map before it through a mixed operation.

    The inputs are those of `models.cell.Cell`; no batch norm has parameters. The output is the
    concatenation of the four nodes.
    """

    def __init__(
        self,
        channels_before: int,
        channels_previous: int,
        channels: int,
        *,
        reduces: bool,
        previous_reduces: bool,
    ) -> None:
        super().__init__()
        self.reduces = reduces
        self.preproc0, self.preproc1 = preprocessing(
            channels_before, channels_previous, channels, previous_reduces=previous_reduces
        )
        _plain_batch_norm(self.preproc0)
        _plain_batch_norm(self.preproc1)
        self.edges = nn.ModuleList(
            MixedEdges(
                channels,
                NODES - first_reader(source),
                stride=2 if reduces and source < INPUTS else 1,
            )
            for source in range(SOURCES)
        )

    def forward(
        self,
        before: Tensor,
        previous: Tensor,
        weights: Tensor,
        skip_scale: Tensor | None = None,
    ) -> Tensor:
        """Compute the cell on its two inputs; gives (N, 4 x channels, H', W').

        Args:
            before: the output of the cell before the previous one.
            previous: that of the previous cell.
            weights: (14, 8), of the primitives.
            skip_scale: (N, 14), by which the skip connections are multiplied; None is one.
        """
        maps = [self.preproc0(before), self.preproc1(previous)]
        nodes: list[Tensor | None] = [None] * NODES
        for source, edges in enumerate(self.edges):
            readers = range(first_reader(source), NODES)
            rows = [edge_index(node, source) for node in readers]
            scale = None if skip_scale is None else skip_scale[:, rows]
            added = edges(maps[source], stacked_rows(weights, rows), scale).unbind(1)
            for node, more in zip(readers, added, strict=True):
                sum_so_far = nodes[node]
                nodes[node] = more if sum_so_far is None else sum_so_far + more
            if source >= INPUTS - 1:
                # This source was the last that the next node waited for.
                maps.append(cast(Tensor, nodes[source - INPUTS + 1]))
        return torch.cat(maps[INPUTS:], dim=1)


def first_reader(source: int) -> int:
    """The first node (0-based) that may read the map `source`."""
    return max(0, source - INPUTS + 1)


class Supernet(nn.Module):
    """The stem, `cells` search cells and a tail; embeds images under given weights.

    The stem (3x3 convolution of stride 2 to 3 x `channels`, batch norm) feeds both inputs of the
    first cell. The cells at `cells // 3`, `2 * cells // 3` and `cells - 1` are reduction cells and
    double the channels. The tail is PReLU, 1x1 convolution to `hidden`, BN, PReLU, a convolution
    as large as the map in `groups` groups, BN, 1x1 convolution to the embedding, BN. The paper's
    sizes are 112 pixels, 16 channels, 8 cells, 512 hidden channels, 128 groups and 128 numbers.

    Raises:
        RecipeError: if the sizes do not fit one another.
    """

    def __init__(
        self,
        *,
        image_size: int = 112,
        channels: int = 16,
        cells: int = 8,
        hidden: int = 512,
        groups: int = 128,
        embedding_size: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(image_size, channels, cells, hidden, groups)
        self.image_size = image_size
        self.embedding_size = embedding_size
        width = STEM_MULTIPLIER * channels
        self.stem = build_stem(width)
        reductions = reduction_places(cells)
        self.cells = nn.ModuleList()
        before, previous, previous_reduces = width, width, False
        for index in range(cells):
            reduces = index in reductions
            channels *= 2 if reduces else 1
            self.cells.append(
                SearchCell(
                    before,
                    previous,
                    channels,
                    reduces=reduces,
                    previous_reduces=previous_reduces,
                )
            )
            before, previous, previous_reduces = previous, NODES * channels, reduces
        self.tail = build_tail(previous, hidden, image_size, embedding_size, groups=groups)
        self.initialise(generator)

    def forward(
        self,
        images: Tensor,
        normal: Tensor,
        reduce: Tensor,
        skip_scale: Tensor | None = None,
    ) -> Tensor:
        """Embed `images` float (N, 3, S, S); gives (N, D).

        Args:
            images: normalised.
            normal: (14, 8), the primitives' weights in normal cells.
            reduce: the same of the reduction cells.
            skip_scale: (N, cells, 14), by which skip connections are multiplied; None is one.
        """
        before = previous = self.stem(images)
        for index, cell in enumerate(self.cells):
            assert isinstance(cell, SearchCell)
            scale = None if skip_scale is None else skip_scale[:, index]
            weights = reduce if cell.reduces else normal
            before, previous = previous, cell(before, previous, weights, scale)
        embedding: Tensor = self.tail(previous).flatten(1)
        return embedding

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw convolutions Kaiming-uniform, set PReLU to 0.25, as `PocketNet.initialise`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, generator=generator)
            elif isinstance(module, SeparableEdges):
                nn.init.constant_(module.slope, 0.25)
                nn.init.kaiming_uniform_(module.depthwise, generator=generator)
                nn.init.kaiming_uniform_(module.pointwise, generator=generator)
            elif isinstance(module, ReducedSkips):
                nn.init.constant_(module.slope, 0.25)
                # As convolutions: a depthwise one has one input, a pointwise one C.
                nn.init.kaiming_uniform_(module.depthwise.view(-1, 1, 1, 1), generator=generator)
                inputs = module.pointwise.shape[-1]
                nn.init.kaiming_uniform_(module.pointwise.view(-1, inputs), generator=generator)


def _plain_batch_norm(module: nn.Module) -> None:
    """Replace every batch norm below `module` by one without parameters."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child.affine:
                setattr(parent, name, nn.BatchNorm2d(child.num_features, affine=False))


def _check_sizes(image_size: int, channels: int, cells: int, hidden: int, groups: int) -> None:
    if image_size < STRIDES[-1] or image_size % STRIDES[-1]:
        raise RecipeError(
            f"image_size must be a multiple of {STRIDES[-1]} pixels, got {image_size}: "
            "the map is halved four times."
        )
    if channels < 2 or channels % 2:
        raise RecipeError(
            f"channels must be even and at least 2, got {channels}: "
            "a factorised reduction gives half of them to each of its two halves."
        )
    if cells < LEAST_CELLS:
        raise RecipeError(
            f"cells must be at least {LEAST_CELLS}, got {cells}: "
            "fewer leave no room for a stage before each of the three reductions."
        )
    if groups < 1 or hidden % groups:
        raise RecipeError(
            f"hidden must be a multiple of groups, got {hidden} channels in {groups} groups."
        )
