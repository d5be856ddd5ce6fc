"""The architecture weights: how strongly each primitive counts on each edge of a cell."""

import torch
from torch import Tensor, nn

from pocketface.models.genotype import INPUTS, NODES
from pocketface.search.mixed import SEARCH_PRIMITIVES

EDGES = sum(INPUTS + node for node in range(NODES))
"""Edges of a cell: each node reads both inputs and every node before it."""


def edge_index(node: int, source: int) -> int:
    """The row of the edge from map `source` to `node` (0-based): node by node, input by input."""
    return sum(INPUTS + before for before in range(node)) + source


class ArchitectureWeights(nn.Module):
    """`normal` and `reduce`, float (14, 8): a row per edge, a column per primitive.

    Rows stand as `edge_index` says, columns as `SEARCH_PRIMITIVES`. The softmax of a row weighs
    the primitives of that edge; all cells of a kind share their weights (DARTS, arXiv 1806.09055).

    Args:
        scale: standard deviation of the first values (the paper's: 1e-3).
        generator: source of the first values.
    """

    def __init__(self, scale: float = 1e-3, generator: torch.Generator | None = None) -> None:
        super().__init__()
        shape = (EDGES, len(SEARCH_PRIMITIVES))
        self.normal = nn.Parameter(scale * torch.randn(shape, generator=generator))
        self.reduce = nn.Parameter(scale * torch.randn(shape, generator=generator))

    def softmax(self) -> tuple[Tensor, Tensor]:
        """The weights of the primitives in the normal and in the reduction cell, (14, 8) each."""
        return self.normal.softmax(dim=1), self.reduce.softmax(dim=1)
