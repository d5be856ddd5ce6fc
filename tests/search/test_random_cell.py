"""Random cells: valid, all kinds of them, and of the cost that was asked for."""

from collections import Counter

import numpy as np
import pytest

from pocketface.errors import RecipeError
from pocketface.models.genotype import FACES, PRIMITIVES
from pocketface.profile.pieces import Shape
from pocketface.search import random_cell
from pocketface.search.cost_tables import CostTables, count_network
from pocketface.search.random_cell import random_genotype, random_genotype_of_macs

SHAPE = Shape(channels=4, cells=5, image_size=32, embedding_size=16)


def test_every_primitive_and_map_is_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_genotype(rng) for _ in range(700)]
    names = Counter(name for genotype in drawn for name, _ in genotype.normal + genotype.reduce)
    assert set(names) == set(PRIMITIVES)
    assert min(names.values()) > 0.9 * 700 * 16 / 7
    last = Counter(source for genotype in drawn for _, source in genotype.reduce[6:])
    assert sorted(last) == [0, 1, 2, 3, 4]
    assert min(last.values()) > 0.8 * 700 * 2 / 5


def test_the_cost_is_what_was_asked_for_when_built() -> None:
    costs = CostTables.of_shape(SHAPE)
    macs = costs.of(FACES).macs
    rng = np.random.default_rng(1)
    found = [random_genotype_of_macs(rng, costs, macs, 0.03) for _ in range(3)]
    assert len(set(found)) == 3
    for genotype in found:
        assert abs(count_network(genotype, SHAPE).macs - macs) <= 0.03 * macs
    assert random_genotype_of_macs(np.random.default_rng(1), costs, macs, 0.03) == found[0]


def test_a_cost_that_no_cells_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_cell, "DRAWS", 50)
    costs = CostTables.of_shape(SHAPE)
    with pytest.raises(RecipeError, match=r"none of 50 random cells .* the nearest has"):
        random_genotype_of_macs(np.random.default_rng(0), costs, 1000)
