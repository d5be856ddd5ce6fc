"""Cells from architecture weights, against sorting by hand, and the published cells."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import TrainingError
from pocketface.models.genotype import CIFAR10, FACES, PRIMITIVES, Genotype
from pocketface.search.discretise import discretise


def by_hand(rows: list[list[float]]) -> tuple[tuple[str, int], ...]:
    """Go through the edges one by one, as facts.md says it in words."""
    edges: list[tuple[str, int]] = []
    row = 0
    for node in range(4):
        found = []
        for source in range(2 + node):
            strongest, name = -float("inf"), ""
            for column, primitive in enumerate(PRIMITIVES):
                if rows[row][column] > strongest:
                    strongest, name = rows[row][column], primitive
            found.append((strongest, source, name))
            row += 1
        for _ in range(2):
            top = found[0]
            for candidate in found[1:]:
                if candidate[0] > top[0]:
                    top = candidate
            found.remove(top)
            edges.append((top[2], top[1]))
    return tuple(edges)


def weights_of(edges: tuple[tuple[str, int], ...]) -> torch.Tensor:
    """Weights whose strongest are those of a cell."""
    weights = torch.zeros(14, 8)
    weights[:, 7] = 5.0  # `none`, the strongest everywhere, and never kept
    for position, (name, source) in enumerate(edges):
        node = position // 2
        first = sum(2 + before for before in range(node))
        weights[first + source, PRIMITIVES.index(name)] = 2.0 - position % 2
    return weights


@pytest.mark.parametrize("genotype", [FACES, CIFAR10])
def test_the_published_cells_come_back(genotype: Genotype) -> None:
    found = discretise(weights_of(genotype.normal), weights_of(genotype.reduce))
    assert found == genotype
    assert Genotype.from_json(found.to_json()) == found


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), levels=st.integers(1, 6))
def test_any_weights_against_going_by_hand(seed: int, levels: int) -> None:
    """With few levels there are many equals."""
    generator = torch.Generator().manual_seed(seed)
    normal, reduce = torch.randint(-levels, levels, (2, 14, 8), generator=generator).double()
    found = discretise(normal, reduce)
    assert found.normal == by_hand(normal.tolist())
    assert found.reduce == by_hand(reduce.tolist())


def test_edges_are_ranked_by_raw_weight_not_by_share() -> None:
    weights = torch.zeros(14, 8)
    # Of node 1 (rows 2, 3, 4): an edge with one lonely winner, and two that are high all over.
    weights[2, 3] = 4.0
    weights[3:5] = 5.0
    found = discretise(weights, weights)
    assert {source for _, source in found.normal[2:4]} == {1, 2}


def test_weights_that_are_no_numbers_are_an_error() -> None:
    weights = torch.zeros(14, 8)
    broken = weights.clone()
    broken[3, 3] = float("nan")
    with pytest.raises(TrainingError, match="reduce cell are not finite"):
        discretise(weights, broken)
    with pytest.raises(ValueError, match="must be"):
        discretise(weights.T, weights)
