"""A budget of parameters, multiply-accumulates and latency, and what it adds to the search's loss.

The hinge on the expected cost is ours; searching for a network's cost beside its accuracy goes back
to MnasNet (arXiv 1807.11626) and FBNet (arXiv 1812.03443).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.search.cost_tables import CostTables, NetworkCost


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost; None is no limit.

    Attributes:
        max_params: parameters.
        max_macs: multiply-accumulates for one image, as `models.cost` counts them.
        max_latency_ms: milliseconds for one image, as a latency table predicts them.

    Raises RecipeError unless at least one limit is given and all are above 0.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        given = {
            "max_params": self.max_params,
            "max_macs": self.max_macs,
            "max_latency_ms": self.max_latency_ms,
        }
        if all(limit is None for limit in given.values()):
            raise RecipeError(f"a budget needs at least one of {', '.join(given)}.")
        for name, limit in given.items():
            if limit is not None and not (limit > 0 and math.isfinite(limit)):
                raise RecipeError(f"{name} must be a number above 0. Got {limit} instead.")

    @property
    def limits(self) -> npt.NDArray[np.float64]:
        """The limits, (3,) in the order of `cost_tables.MEASURES`; infinity where there is none."""
        given = (self.max_params, self.max_macs, self.max_latency_ms)
        return np.array([np.inf if limit is None else limit for limit in given], dtype=np.float64)

    def holds(self, cost: NetworkCost) -> bool:
        """Whether a network of this cost is within the budget."""
        return bool((np.array(cost) <= self.limits).all())

    def check(self, costs: CostTables) -> None:
        """Raise RecipeError if there is a limit of latency and `costs` knows no latencies."""
        if self.max_latency_ms is not None and not costs.timed:
            raise RecipeError(
                f"a limit of {self.max_latency_ms:g} ms needs a latency table of the device. "
                "Measure one with: pocketface profile --primitives DEVICE.json"
            )

    def misses(self, cost: NetworkCost) -> list[str]:
        """What a cost has too much of: a phrase for each limit that it exceeds."""
        found = []
        named = ("parameters", "multiply-accumulates", "ms by the latency table")
        for name, value, limit in zip(named, cost, self.limits.tolist(), strict=True):
            if value > limit:
                digits = ",.4f" if isinstance(value, float) else ",.0f"
                found.append(
                    f"{value:{digits}} {name}, {value - limit:{digits}} "
                    f"({100 * (value / limit - 1):.3g} %) more than the {limit:{digits}} allowed"
                )
        return found


class BudgetPenalty:
    """What the search's loss gets for an expected cost above a budget.

    Args:
        budget: the limits.
        costs: the costs of the network that will be trained, whose shape may differ from that of
            the searched network.

    Raises RecipeError if there is a limit of latency and `costs` knows no latencies.
    """

    def __init__(self, budget: Budget, costs: CostTables) -> None:
        budget.check(costs)
        self.budget = budget
        self.costs = costs
        limits = budget.limits
        self._limited = np.flatnonzero(np.isfinite(limits)).tolist()
        self._limits = limits[self._limited]

    def expected_cost(self, normal_softmax: Tensor, reduce_softmax: Tensor) -> Tensor:
        """The sum over the limits of max(0, expected / limit - 1): a scalar, differentiable.

        Args:
            normal_softmax: float (14, 8), weights of the primitives; rows sum to 1.
            reduce_softmax: the same of the reduction cell.
        """
        expected = self.costs.expected(normal_softmax, reduce_softmax)[self._limited]
        limits = torch.as_tensor(self._limits, dtype=expected.dtype, device=expected.device)
        return (expected / limits - 1).clamp_min(0).sum()
