"""Expected and exact costs against built networks, and cells within a budget against a plain DP."""

import datetime
from itertools import combinations, product

import numpy as np
import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.models.genotype import CIFAR10, FACES, PRIMITIVES, Genotype
from pocketface.profile.latency_table import Entry, LatencyTable
from pocketface.profile.machine import describe_machine
from pocketface.profile.pieces import Shape, pieces_of, predict_latency
from pocketface.search.architecture import edge_index
from pocketface.search.budget import Budget, BudgetPenalty
from pocketface.search.cost_tables import CostTables, NetworkCost, count_network
from pocketface.search.discretise import discretise
from pocketface.search.discretise_within import discretise_within
from pocketface.search.random_cell import random_genotype

SHAPE = Shape(channels=4, cells=5, image_size=32, embedding_size=16)


@pytest.fixture(scope="module")
def costs() -> CostTables:
    return CostTables.of_shape(SHAPE)


@pytest.fixture(scope="module")
def latencies() -> LatencyTable:
    """A table with another time for each piece that a network of this shape can have."""
    rng = np.random.default_rng(3)
    pieces = {
        placed.piece._replace(operation=operation)
        for _ in range(12)
        for placed in pieces_of(random_genotype(rng), SHAPE)
        for operation in (
            PRIMITIVES if placed.piece.operation in PRIMITIVES else (placed.piece.operation,)
        )
    }
    entries = [
        Entry(**piece._asdict(), microseconds=time, low=time, high=time)
        for piece, time in zip(sorted(pieces), rng.uniform(1, 90, len(pieces)), strict=True)
        if not piece.free
    ]
    return LatencyTable(
        version="0", created=datetime.date(2026, 1, 1).isoformat(), machine=describe_machine(),
        load=None, runtime="onnxruntime", runtime_version="1", threads=1, clock="cpu",
        entries=tuple(entries),
    )  # fmt: skip


def one_hot(edges: tuple[tuple[str, int], ...]) -> torch.Tensor:
    weights = torch.zeros(14, 8, dtype=torch.float64)
    weights[:, 7] = 1
    for place, (name, source) in enumerate(edges):
        row = edge_index(place // 2, source)
        weights[row] = 0
        weights[row, PRIMITIVES.index(name)] = 1
    return weights


@pytest.mark.parametrize("shape", [SHAPE, Shape(6, 9, 48, 20)])
def test_costs_are_those_of_the_built_network(shape: Shape) -> None:
    costs = CostTables.of_shape(shape)
    rng = np.random.default_rng(0)
    for genotype in (FACES, CIFAR10, *(random_genotype(rng) for _ in range(4))):
        built = count_network(genotype, shape)
        assert costs.of(genotype) == NetworkCost(built.parameters, built.macs, 0.0)
        expected = costs.expected(one_hot(genotype.normal), one_hot(genotype.reduce))
        assert expected.tolist() == [built.parameters, built.macs, 0.0]


def test_the_published_networks() -> None:
    assert CostTables.of_shape(Shape(16, 18, 112, 128)).of(FACES)[:2] == (925_632, 283_541_120)


def test_latency_is_what_the_profile_predicts(latencies: LatencyTable) -> None:
    costs = CostTables.of_shape(SHAPE, latencies)
    rng = np.random.default_rng(1)
    for _ in range(5):
        genotype = random_genotype(rng)
        predicted = predict_latency(latencies, genotype, SHAPE)
        assert costs.of(genotype).milliseconds == pytest.approx(predicted, rel=1e-12)
        expected = costs.expected(one_hot(genotype.normal), one_hot(genotype.reduce))
        assert float(expected[2]) == pytest.approx(predicted, rel=1e-12)


def test_equal_weights_expect_the_mean_of_two_edges(costs: CostTables) -> None:
    """Edge by edge and primitive by primitive, in plain loops."""
    wanted = costs.base.copy()
    for table in (costs.normal, costs.reduce):
        for node in range(4):
            for source in range(2 + node):
                for column in range(7):
                    price = table[edge_index(node, source), column]
                    wanted = wanted + 2 * price / (7 * (2 + node))
    even = torch.full((14, 8), 1 / 8, dtype=torch.float64)
    np.testing.assert_allclose(costs.expected(even, even).numpy(), wanted, rtol=1e-12)


def test_the_penalty_pulls_towards_the_budget(costs: CostTables) -> None:
    alphas = torch.randn(2, 14, 8, generator=torch.Generator().manual_seed(0)).double()
    alphas.requires_grad_()
    params, macs, _ = costs.expected(*alphas.softmax(dim=-1)).tolist()
    penalty = BudgetPenalty(Budget(max_params=round(params / 2), max_macs=round(macs / 4)), costs)
    value = penalty.expected_cost(*alphas.softmax(dim=-1))
    assert float(value.detach()) == pytest.approx(1 + 3, rel=1e-3)
    assert torch.autograd.gradcheck(lambda x: penalty.expected_cost(*x.softmax(dim=-1)), alphas)
    generous = BudgetPenalty(Budget(max_params=round(params * 2)), costs)
    assert generous.expected_cost(*alphas.softmax(dim=-1)) == 0
    optimiser = torch.optim.Adam([alphas], lr=0.2)
    for _ in range(40):
        optimiser.zero_grad()
        penalty.expected_cost(*alphas.softmax(dim=-1)).backward()
        optimiser.step()
    assert penalty.expected_cost(*alphas.softmax(dim=-1)) < 0.6 * value.detach()


def strength(genotype: Genotype, normal: torch.Tensor, reduce: torch.Tensor) -> float:
    return sum(
        float(weights[edge_index(place // 2, source), PRIMITIVES.index(name)])
        for weights, edges in ((normal, genotype.normal), (reduce, genotype.reduce))
        for place, (name, source) in enumerate(edges)
    )


def best_by_table(
    normal: torch.Tensor, reduce: torch.Tensor, costs: CostTables, measure: int, limit: float
) -> float:
    """The highest strength by dynamic programming over all sums of one cost."""
    best = {int(costs.base[measure]): 0.0}
    for weights, table in ((normal, costs.normal), (reduce, costs.reduce)):
        for node in range(4):
            options: dict[int, float] = {}
            for sources in combinations(range(2 + node), 2):
                for columns in product(range(7), repeat=2):
                    cells = [
                        (edge_index(node, s), c) for s, c in zip(sources, columns, strict=True)
                    ]
                    price = int(sum(table[row, column, measure] for row, column in cells))
                    score = float(sum(weights[row, column] for row, column in cells))
                    options[price] = max(score, options.get(price, -np.inf))
            after: dict[int, float] = {}
            for (paid, had), (price, score) in product(best.items(), options.items()):
                after[paid + price] = max(had + score, after.get(paid + price, -np.inf))
            best = after
    return max(score for paid, score in best.items() if paid <= limit)


@pytest.mark.parametrize(("measure", "part"), [(0, 0.2), (0, 0.6), (1, 0.05), (1, 0.4)])
def test_the_strongest_cells_within_one_limit(costs: CostTables, measure: int, part: float) -> None:
    generator = torch.Generator().manual_seed(measure)
    normal, reduce = torch.randn(2, 14, 8, generator=generator).double()
    free = costs.of(discretise(normal, reduce))[measure]
    cheapest = min(
        costs.of(genotype)[measure]
        for genotype in (FACES, CIFAR10, cheap())
    )  # fmt: skip
    limit = round(cheapest + part * (free - cheapest))
    budget = Budget(max_params=limit) if measure == 0 else Budget(max_macs=limit)
    found = discretise_within(normal, reduce, budget, costs)
    assert costs.of(found)[measure] <= limit
    wanted = best_by_table(normal, reduce, costs, measure, limit)
    assert strength(found, normal, reduce) == pytest.approx(wanted, abs=1e-9)
    for cell, weights in ((found.normal, normal), (found.reduce, reduce)):
        for node in range(4):
            first, second = (
                float(weights[edge_index(node, source), PRIMITIVES.index(name)])
                for name, source in cell[2 * node : 2 * node + 2]
            )
            assert first >= second


def cheap() -> Genotype:
    """Skips where they are free, pools where a skip would be a reduction."""
    normal = tuple(("skip_connect", i % 2) for i in range(8))
    reduce = (
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0),
        ("skip_connect", 2), ("skip_connect", 3), ("skip_connect", 2), ("skip_connect", 3),
    )  # fmt: skip
    return Genotype(normal, reduce)


def test_a_limit_met_exactly_is_met_and_one_less_is_not(costs: CostTables) -> None:
    generator = torch.Generator().manual_seed(5)
    normal, reduce = torch.randn(2, 14, 8, generator=generator)
    least = costs.of(cheap())
    found = discretise_within(normal, reduce, Budget(max_params=least.parameters), costs)
    assert costs.of(found).parameters == least.parameters
    with pytest.raises(RecipeError, match=r"parameters, 1 \(.* more than"):
        discretise_within(normal, reduce, Budget(max_params=least.parameters - 1), costs)
    with pytest.raises(RecipeError, match=r"multiply-accumulates, .* more than the 10 allowed"):
        discretise_within(normal, reduce, Budget(max_macs=10), costs)


def test_several_limits_at_once(latencies: LatencyTable) -> None:
    """No random cells within the budget are stronger, nor is one changed edge."""
    costs = CostTables.of_shape(SHAPE, latencies)
    generator = torch.Generator().manual_seed(6)
    normal, reduce = torch.randn(2, 14, 8, generator=generator).double()
    rng = np.random.default_rng(0)
    drawn = [random_genotype(rng) for _ in range(300)]
    params, macs, time = np.quantile([costs.of(each) for each in drawn], 0.3, axis=0)
    budget = Budget(round(params), round(macs), float(time))
    found = discretise_within(normal, reduce, budget, costs)
    assert budget.holds(costs.of(found))
    within = [each for each in (*drawn, *neighbours(found)) if budget.holds(costs.of(each))]
    assert len(within) > 20
    best = max(strength(each, normal, reduce) for each in within)
    assert strength(found, normal, reduce) >= best - 1e-9


def neighbours(genotype: Genotype) -> list[Genotype]:
    found = []
    for kind in ("normal", "reduce"):
        for place in range(8):
            for name in PRIMITIVES:
                cells = {"normal": list(genotype.normal), "reduce": list(genotype.reduce)}
                cells[kind][place] = (name, cells[kind][place][1])
                found.append(Genotype(tuple(cells["normal"]), tuple(cells["reduce"])))
    return found


def test_a_budget_that_is_generous_changes_nothing(costs: CostTables) -> None:
    weights = torch.randn(2, 14, 8, generator=torch.Generator().manual_seed(7))
    normal, reduce = weights
    found = discretise_within(normal, reduce, Budget(max_params=10**9), costs)
    assert found == discretise(normal, reduce)


def test_budgets_that_are_none() -> None:
    with pytest.raises(RecipeError, match="at least one of"):
        Budget()
    with pytest.raises(RecipeError, match="max_macs must be a number above 0"):
        Budget(max_macs=0)
    with pytest.raises(RecipeError, match="max_latency_ms must be a number above 0"):
        Budget(max_latency_ms=float("nan"))


def test_a_limit_of_latency_needs_a_table(costs: CostTables) -> None:
    with pytest.raises(RecipeError, match="profile --primitives"):
        BudgetPenalty(Budget(max_latency_ms=5), costs)
