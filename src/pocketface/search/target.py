"""The network that cells are searched for: its shape, what cells cost in it, what it may cost."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.models import PocketNet, list_models, outline_model
from pocketface.models.genotype import Genotype
from pocketface.profile.latency_table import read_latency_table
from pocketface.profile.pieces import Shape
from pocketface.search.architecture import EDGES
from pocketface.search.budget import Budget, BudgetPenalty
from pocketface.search.config import BudgetConfig, SearchConfig
from pocketface.search.cost_tables import CostTables
from pocketface.search.discretise import discretise
from pocketface.search.discretise_within import discretise_within
from pocketface.search.mixed import SEARCH_PRIMITIVES
from pocketface.search.step import ExpectedCost
from pocketface.train.recipe import load_recipe


@dataclass(frozen=True)
class Target:
    """What the cells are for.

    Attributes:
        costs: of all cells in the network that will be trained.
        budget: what it may cost; None is no limit.
        weight: of the expected cost in the architecture's loss.
    """

    costs: CostTables
    budget: Budget | None
    weight: float

    @classmethod
    def of(cls, config: SearchConfig) -> "Target":
        """Read the recipe that will train the network, and count what cells cost in it.

        Raises:
            RecipeError: if the recipe's network has no cells, or no cells hold the budget; the
                message says by how much the cheapest miss it.
        """
        limits = config.budget
        table = None if limits.latencies is None else read_latency_table(limits.latencies)
        costs = CostTables.of_shape(shape_of(config.recipe), table)
        target = cls(costs, _budget(limits), limits.weight)
        # Better told now than after the search. Any weights do.
        nothing = torch.zeros(EDGES, len(SEARCH_PRIMITIVES))
        target.cells(nothing, nothing)
        return target

    def cells(self, normal: Tensor, reduce: Tensor) -> Genotype:
        """The cells that raw architecture weights (14, 8) stand for, within the budget.

        Raises:
            TrainingError: if a weight is not finite.
        """
        if self.budget is None:
            return discretise(normal, reduce)
        return discretise_within(normal, reduce, self.budget, self.costs)

    def penalty(self) -> ExpectedCost | None:
        """What the architecture's loss gets for an expected cost above the budget, if anything."""
        if self.budget is None or not self.weight:
            return None
        penalty, weight = BudgetPenalty(self.budget, self.costs), self.weight

        def weighted(normal: Tensor, reduce: Tensor) -> Tensor:
            return weight * penalty.expected_cost(normal, reduce)

        return weighted


def shape_of(recipe: str) -> Shape:
    """The shape of the PocketNet that `recipe`, a shipped one's name or a file, trains.

    Raises RecipeError if there is no such recipe, or it trains another network.
    """
    model = load_recipe(recipe).model
    options = {key: value for key, value in model.options.items() if key != "genotype"}
    network = outline_model(
        model.architecture,
        embedding_size=model.embedding_size,
        image_size=model.image_size,
        **options,
    )
    if not isinstance(network, PocketNet):
        raise RecipeError(
            f"the recipe '{recipe}' trains {model.architecture}, which has no cells to search. "
            f"Name one of a PocketNet: {', '.join(list_models('pocketnet*'))}."
        )
    return Shape.of(network)


def _budget(config: BudgetConfig) -> Budget | None:
    given = (config.max_params, config.max_macs, config.max_latency_ms)
    return None if all(limit is None for limit in given) else Budget(*given)
