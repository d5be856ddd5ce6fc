"""What each choice of a primitive costs in the network that a genotype will be.

A PocketNet's parameters, multiply-accumulates and latency by a table are sums over its layers. So
a network costs what it has beside its cells' edges, and for each edge of a genotype one number.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.models.cost import Cost, measure_cost
from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, PRIMITIVES, Edge, Genotype
from pocketface.models.pocketnet import PocketNet
from pocketface.profile.latency_table import LatencyTable, Piece
from pocketface.profile.pieces import Shape, pieces_of
from pocketface.search.architecture import EDGES, edge_index
from pocketface.search.mixed import KERNELS, SEARCH_PRIMITIVES

_PROBE_CELL: tuple[Edge, ...] = (
    ("skip_connect", 0),
    ("skip_connect", 1),
    ("skip_connect", 2),
    ("skip_connect", 0),
    ("skip_connect", 2),
    ("skip_connect", 0),
    ("skip_connect", 2),
    ("skip_connect", 0),
)
_PROBE = Genotype(_PROBE_CELL, _PROBE_CELL)
"""Its first edge leaves an input, its third a node: the two kinds of place that a cell has."""

MEASURES = ("parameters", "macs", "milliseconds")
"""The columns of costs."""


class NetworkCost(NamedTuple):
    """The cost of one network for one image; `milliseconds` is 0 without a latency table."""

    parameters: int
    macs: int
    milliseconds: float


@dataclass(frozen=True)
class CostTables:
    """The costs of all genotypes of one shape of PocketNet.

    Attributes:
        shape: channels, cells, image and embedding size.
        base: float64 (3,), `MEASURES` of all that is not an edge of a cell.
        normal, reduce: float64 (14, 8, 3), `MEASURES` of the primitives (columns as
            `SEARCH_PRIMITIVES`) on the edges (rows as `edge_index`), summed over the cells of the
            kind. Counts are whole numbers.
        timed: whether there is a latency table.
    """

    shape: Shape
    base: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]
    reduce: npt.NDArray[np.float64]
    timed: bool

    @classmethod
    def of_shape(cls, shape: Shape, latencies: LatencyTable | None = None) -> "CostTables":
        """Count the costs of a PocketNet's pieces.

        Raises RecipeError for a shape that PocketNet does not have, and for a piece that is not in
        the table `latencies`.
        """
        counted = count_network(_PROBE, shape)
        tables = np.zeros((2, EDGES, len(SEARCH_PRIMITIVES), len(MEASURES)))
        others: list[Piece] = []
        for where, piece in pieces_of(_PROBE, shape):
            if piece.operation not in PRIMITIVES:
                others.append(piece)
                continue
            first = where.endswith(".dag.0.0")
            if first:
                # The first edge of a cell leaves an input, with stride 2 in reduction cells only.
                kind = int(piece.stride == 2)
            elif not where.endswith(".dag.1.0"):
                continue
            costs = _primitive_costs(piece, latencies)
            for node in range(NODES):
                for source in range(INPUTS + node):
                    if (source < INPUTS) == first:
                        tables[kind, edge_index(node, source)] += costs
        base = np.array([counted.parameters, counted.macs, 0.0])
        if latencies is not None:
            base[2] = sum(latencies.latencies(others)) / 1e3
        for table, edges in zip(tables, (_PROBE.normal, _PROBE.reduce), strict=True):
            base[:2] -= _edges_cost(table, edges)[:2]
        return cls(shape, base, tables[0], tables[1], latencies is not None)

    def of(self, genotype: Genotype) -> NetworkCost:
        """The cost of the network of `genotype`."""
        total = self.base + _edges_cost(self.normal, genotype.normal)
        total = total + _edges_cost(self.reduce, genotype.reduce)
        return NetworkCost(int(total[0]), int(total[1]), float(total[2]))

    def expected(self, normal: Tensor, reduce: Tensor) -> Tensor:
        """The expected cost under weights of primitives: float (3,), `MEASURES`, differentiable.

        A node keeps two edges. They count as two draws among all primitives but `none` on all
        edges of the node, in proportion to the weights. So a cell's cost does not grow with edges
        that will not be kept, and where each weight is 0 or 1 and a node has two edges that are
        not `none` it is that network's cost exactly. This estimate is ours.

        Args:
            normal: float (14, 8), after the softmax; rows sum to 1.
            reduce: the same of the reduction cell.
        """
        total = torch.as_tensor(self.base, dtype=normal.dtype, device=normal.device)
        for weights, costs in ((normal, self.normal), (reduce, self.reduce)):
            table = torch.as_tensor(costs, dtype=normal.dtype, device=normal.device)
            spent = (weights.unsqueeze(-1) * table).sum(dim=1)
            kept = weights[:, : len(PRIMITIVES)].sum(dim=1)
            for node in range(NODES):
                first = edge_index(node, 0)
                rows = slice(first, first + INPUTS + node)
                mass = kept[rows].sum().clamp_min(torch.finfo(normal.dtype).tiny)
                total = total + EDGES_PER_NODE * spent[rows].sum(dim=0) / mass
        return total


def count_network(genotype: Genotype, shape: Shape) -> Cost:
    """Build the network of `genotype`, without memory for its parameters, and count its cost."""
    with torch.device("meta"):
        network = PocketNet(
            embedding_size=shape.embedding_size,
            image_size=shape.image_size,
            channels=shape.channels,
            cells=shape.cells,
            genotype=genotype,
        )
    return measure_cost(network)


def _edges_cost(table: npt.NDArray[np.float64], edges: tuple[Edge, ...]) -> npt.NDArray[np.float64]:
    """The sum of a cell's edges, (3,)."""
    rows = [edge_index(place // EDGES_PER_NODE, source) for place, (_, source) in enumerate(edges)]
    columns = [PRIMITIVES.index(primitive) for primitive, _ in edges]
    total: npt.NDArray[np.float64] = table[rows, columns].sum(axis=0)
    return total


def _primitive_costs(piece: Piece, latencies: LatencyTable | None) -> npt.NDArray[np.float64]:
    """The costs of all primitives at the place of `piece`, (8, 3)."""
    places = [piece._replace(operation=primitive) for primitive in SEARCH_PRIMITIVES]
    costs = np.zeros((len(places), len(MEASURES)))
    costs[:, :2] = [_counts(place) for place in places]
    if latencies is not None:
        costs[:, 2] = np.array(latencies.latencies(places)) / 1e3
    return costs


def _counts(piece: Piece) -> tuple[int, int]:
    """Parameters and multiply-accumulates of a primitive; layers as in `models.cell`."""
    channels, pixels = piece.inputs, (piece.size // piece.stride) ** 2
    if piece.free:
        return 0, 0
    if piece.operation == "skip_connect":
        weights = 2 * channels + channels * channels  # two scales, two halves of the channels
        return channels + weights + 2 * channels, weights * pixels
    if piece.operation in KERNELS:
        weights = channels * KERNELS[piece.operation] ** 2 + channels * channels
        return channels + weights + 2 * channels, weights * pixels
    return 2 * channels, 0
