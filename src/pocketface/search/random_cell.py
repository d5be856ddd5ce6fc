"""Cells that nobody searched: the control that a searched cell must beat at equal cost."""

import numpy as np

from pocketface.errors import RecipeError
from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, PRIMITIVES, Edge, Genotype
from pocketface.search.cost_tables import CostTables

DRAWS = 20_000
"""How many cells are drawn before the search for one of the wanted cost is given up."""


def random_genotype(rng: np.random.Generator) -> Genotype:
    """Draw cells: two different maps for each node, and a primitive for each, all equally likely.

    That is what discretising random architecture weights gives.
    """
    return Genotype(_random_cell(rng), _random_cell(rng))


def _random_cell(rng: np.random.Generator) -> tuple[Edge, ...]:
    edges = []
    for node in range(NODES):
        for source in rng.permutation(INPUTS + node)[:EDGES_PER_NODE]:
            edges.append((PRIMITIVES[rng.integers(len(PRIMITIVES))], int(source)))
    return tuple(edges)


def random_genotype_of_macs(
    rng: np.random.Generator, costs: CostTables, macs: int, tolerance: float = 0.02
) -> Genotype:
    """Draw cells until those of a network come within `tolerance` (a part) of `macs`.

    Among all cells within the tolerance each is equally likely.

    Raises RecipeError if none of `DRAWS` is, and says how near the nearest came.
    """
    if not 0 <= tolerance < 1:
        raise RecipeError(f"tolerance must be in [0, 1). Got {tolerance} instead.")
    nearest = 0
    for _ in range(DRAWS):
        genotype = random_genotype(rng)
        found = costs.of(genotype).macs
        if abs(found - macs) <= tolerance * macs:
            return genotype
        if abs(found - macs) < abs(nearest - macs) or not nearest:
            nearest = found
    raise RecipeError(
        f"none of {DRAWS:,} random cells makes a network of {macs:,} multiply-accumulates, give or "
        f"take {100 * tolerance:g} %; the nearest has {nearest:,}. Ask for that, or allow more."
    )
