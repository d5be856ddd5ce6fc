"""The strongest cells that a budget allows.

Each node takes two edges and a primitive for each: a choice for each of the eight nodes of the two
cells, whose weights and costs add up. The best one within the budget is found exactly: a partial
choice is dropped only if it cannot be within the budget, or if a bound (Lagrange's relaxation of
the limits) says that it cannot become better than a choice that is known. The method is ours.
"""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, PRIMITIVES, Edge, Genotype
from pocketface.search.architecture import edge_index
from pocketface.search.budget import Budget
from pocketface.search.cost_tables import CostTables, NetworkCost
from pocketface.search.discretise import discretise

_Array = npt.NDArray[np.float64]

_DUAL_STEPS = 400
_ROUNDING = 1e-12
"""Part of a score that rounding may take from a bound."""


@dataclass(frozen=True)
class _Node:
    """What a node may be: `edges` by choice, their `score` (n,) and `cost` (n, limits)."""

    edges: list[tuple[Edge, Edge]]
    score: _Array
    cost: _Array

    def keep(self, chosen: npt.NDArray[np.intp]) -> "_Node":
        return _Node([self.edges[i] for i in chosen], self.score[chosen], self.cost[chosen])


def discretise_within(
    normal: Tensor, reduce: Tensor, budget: Budget, costs: CostTables
) -> Genotype:
    """Choose the cells with the highest sum of weights among all that hold the budget.

    Every node keeps its two edges, each with one primitive; without limits this is `discretise`,
    whose result is taken if it holds the budget. A node's stronger edge stands first.

    Args:
        normal: (14, 8) float, raw weights, rows and columns as of `ArchitectureWeights`.
        reduce: the same of the reduction cell.
        budget: the limits.
        costs: the costs of the network that will be built.

    Raises:
        RecipeError: if no cells hold the budget; it says by how much the cheapest miss it.
        TrainingError: if a weight is not finite.
        ValueError: if a shape is wrong.
    """
    budget.check(costs)
    strongest = discretise(normal, reduce)
    if budget.holds(costs.of(strongest)):
        return strongest
    limits = budget.limits
    limited = np.flatnonzero(np.isfinite(limits))
    limits = limits[limited]
    # Counts are whole numbers, so that these sums are exact.
    spare = limits - costs.base[limited]
    nodes = [
        node
        for weights, table in ((normal, costs.normal), (reduce, costs.reduce))
        for node in _nodes_of(weights, table[:, :, limited])
    ]
    cheapest = _cheapest(nodes, spare, limits)
    known = _genotype(nodes, cheapest)
    cost = costs.of(known)
    if not budget.holds(cost):
        raise RecipeError(_impossible(budget, costs, cost))
    chosen = _best(nodes, spare, limits, cheapest)
    found = _genotype(nodes, chosen)
    # A sum of latencies may be rounded to just above the limit; the cheapest cells are certain.
    return found if budget.holds(costs.of(found)) else known


def _nodes_of(weights: Tensor, table: _Array) -> list[_Node]:
    """The nodes of one cell with all their choices but those that another is better than."""
    alphas = weights.detach().cpu().double().numpy()
    nodes = []
    for node in range(NODES):
        edges, scores, prices = [], [], []
        for sources in combinations(range(INPUTS + node), EDGES_PER_NODE):
            for columns in product(range(len(PRIMITIVES)), repeat=EDGES_PER_NODE):
                places = [
                    (edge_index(node, source), column)
                    for source, column in zip(sources, columns, strict=True)
                ]
                strength = [alphas[place] for place in places]
                pair = [
                    (PRIMITIVES[column], source)
                    for source, column in zip(sources, columns, strict=True)
                ]
                if strength[1] > strength[0]:
                    pair.reverse()
                edges.append((pair[0], pair[1]))
                scores.append(sum(strength))
                prices.append(sum(table[place] for place in places))
        whole = _Node(edges, np.array(scores), np.array(prices))
        nodes.append(whole.keep(_undominated(np.column_stack((-whole.score, whole.cost)))))
    return nodes


def _undominated(values: _Array) -> npt.NDArray[np.intp]:
    """Rows of `values` (n, k) that no other row is at most in all columns; of equals the first."""
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    for row in order:
        if not kept or not (values[kept] <= values[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(sorted(kept), dtype=np.intp)


def _cheapest(nodes: list[_Node], spare: _Array, limits: _Array) -> list[int]:
    """The choice of each node with which the largest excess, in parts of its limit, is least."""
    total = np.zeros((1, len(spare)))
    choices = np.zeros((1, 0), dtype=np.intp)
    for node in nodes:
        options = _undominated(node.cost)
        total = (total[:, None] + node.cost[options]).reshape(-1, len(spare))
        choices = _extended(choices, options)
        kept = _undominated(total)
        total, choices = total[kept], choices[kept]
    best = int(((total - spare) / limits).max(axis=1).argmin())
    return [int(choice) for choice in choices[best]]


def _extended(choices: npt.NDArray[np.intp], options: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Each row of `choices` (n, k) with each of `options` (m,) behind it: (n m, k + 1)."""
    return np.column_stack(
        (np.repeat(choices, len(options), axis=0), np.tile(options, len(choices)))
    )


def _best(nodes: list[_Node], spare: _Array, limits: _Array, known: list[int]) -> list[int]:
    """The choice of each node with the highest sum of scores whose costs are within `spare`."""
    prices, known = _relax(nodes, spare, limits, known)
    score = sum(float(node.score[choice]) for node, choice in zip(nodes, known, strict=True))
    bounds = [float((node.score - node.cost @ prices).max()) for node in nodes]
    floors = [node.cost.min(axis=0) for node in nodes]
    margin = _ROUNDING * sum(float(np.abs(node.score).max()) for node in nodes)
    total = np.zeros((1, len(spare)))
    scores = np.zeros(1)
    choices = np.zeros((1, 0), dtype=np.intp)
    for place, node in enumerate(nodes):
        total = (total[:, None] + node.cost).reshape(-1, len(spare))
        scores = (scores[:, None] + node.score).reshape(-1)
        choices = _extended(choices, np.arange(len(node.score)))
        floor = sum(floors[place + 1 :], np.zeros(len(spare)))
        bound = scores + (spare - total) @ prices + sum(bounds[place + 1 :])
        kept = (total + floor <= spare).all(axis=1) & (bound > score + margin)
        total, scores, choices = total[kept], scores[kept], choices[kept]
    if not len(scores):
        return known
    return [int(choice) for choice in choices[int(scores.argmax())]]


def _relax(
    nodes: list[_Node], spare: _Array, limits: _Array, known: list[int]
) -> tuple[_Array, list[int]]:
    """Prices of the costs with a low bound, and the best choice within `spare` on the way.

    Steps are taken in parts of the limits, so that all costs have one scale. Any prices that are
    not negative give a bound; how good they are decides the time alone.
    """
    prices = np.zeros(len(spare))
    best_prices, lowest = prices, np.inf
    score = sum(float(node.score[choice]) for node, choice in zip(nodes, known, strict=True))
    spread = sum(float(np.ptp(node.score)) for node in nodes)
    reach = sum(float(np.ptp(node.cost / limits, axis=0).max()) for node in nodes)
    step = spread / max(1e-12, reach)
    for turn in range(_DUAL_STEPS):
        chosen = [int((node.score - node.cost @ prices).argmax()) for node in nodes]
        total = sum(
            (node.cost[choice] for node, choice in zip(nodes, chosen, strict=True)),
            np.zeros(len(spare)),
        )
        reached = sum(float(node.score[choice]) for node, choice in zip(nodes, chosen, strict=True))
        if (total <= spare).all() and reached > score:
            known, score = chosen, reached
        bound = reached + float((spare - total) @ prices)
        if bound < lowest:
            lowest, best_prices = bound, prices
        excess = (total - spare) / limits
        size = float(np.linalg.norm(excess))
        if size == 0:
            break
        prices = np.maximum(0, prices + step / (1 + turn) ** 0.75 * excess / size / limits)
    return best_prices, known


def _genotype(nodes: list[_Node], choices: list[int]) -> Genotype:
    edges = [
        edge for node, choice in zip(nodes, choices, strict=True) for edge in node.edges[choice]
    ]
    half = NODES * EDGES_PER_NODE
    return Genotype(tuple(edges[:half]), tuple(edges[half:]))


def _impossible(budget: Budget, costs: CostTables, cost: NetworkCost) -> str:
    shape = costs.shape
    return (
        f"no cells hold the budget with {shape.channels} channels, {shape.cells} cells, images of "
        f"{shape.image_size} px and embeddings of {shape.embedding_size}: the cheapest network has "
        f"{'; and '.join(budget.misses(cost))}. Allow more, or take fewer channels or cells or "
        "smaller images."
    )
