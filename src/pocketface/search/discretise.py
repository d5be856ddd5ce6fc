"""From architecture weights to the cells that they stand for."""

import torch
from torch import Tensor

from pocketface.errors import TrainingError
from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, PRIMITIVES, Edge, Genotype
from pocketface.search.architecture import EDGES, edge_index
from pocketface.search.mixed import SEARCH_PRIMITIVES


def discretise(normal: Tensor, reduce: Tensor) -> Genotype:
    """Keep the best primitive of each edge and the two strongest edges of each node.

    `none` is never kept. An edge is as strong as the raw weight of its best primitive, not as the
    softmax of it. The stronger edge stands first; where two are equal, the primitive that stands
    first in `PRIMITIVES`, or the edge that reads the earlier map, wins (arXiv 2108.10710).

    Args:
        normal: (14, 8) float, rows and columns as of `ArchitectureWeights`.
        reduce: the same of the reduction cell.

    Raises:
        TrainingError: if a weight is not finite.
        ValueError: if a shape is wrong.
    """
    return Genotype(_cell("normal", normal), _cell("reduce", reduce))


def _cell(name: str, weights: Tensor) -> tuple[Edge, ...]:
    if weights.shape != (EDGES, len(SEARCH_PRIMITIVES)):
        raise ValueError(
            f"the weights of the {name} cell must be {(EDGES, len(SEARCH_PRIMITIVES))}. "
            f"Got {tuple(weights.shape)} instead."
        )
    if not bool(torch.isfinite(weights).all()):
        raise TrainingError(
            f"the architecture weights of the {name} cell are not finite, so no cell can be read "
            "from them. Search again with lower learning rates."
        )
    # As Python's numbers, whose sort keeps the order of equals on every machine.
    table = weights.detach().cpu()[:, : len(PRIMITIVES)].tolist()
    edges: list[Edge] = []
    for node in range(NODES):
        best = []
        for source in range(INPUTS + node):
            row = table[edge_index(node, source)]
            column = max(range(len(row)), key=row.__getitem__)
            best.append((row[column], (PRIMITIVES[column], source)))
        best.sort(key=lambda found: found[0], reverse=True)
        edges += [edge for _, edge in best[:EDGES_PER_NODE]]
    return tuple(edges)
