import numpy as np
import pytest
import torch

from pocketface.deploy.graph import Concat, Conv, Graph, Pool
from pocketface.deploy.int8.calibrate import find_grids


def two_convs(scale: float = 1.0) -> Graph:
    graph = Graph("images", channels={"images": 1})
    one = np.ones((1, 1, 1, 1))
    left = graph.add(Conv(one, np.zeros(1)), "images")
    right = graph.add(Conv(scale * one, np.zeros(1)), "images")
    both = graph.add(Concat(), left, right)
    pooled = graph.add(Pool(False, 2, 2, 0), both)
    graph.output = graph.add(Conv(np.ones((1, 2, 1, 1)), np.zeros(1)), pooled)
    return graph


def test_minmax_is_the_range_over_all_batches() -> None:
    graph = two_convs()
    batches = [torch.full((1, 1, 2, 2), -1.0), torch.full((2, 1, 2, 2), 4.0)]
    grids = find_grids(graph, lambda: batches, "minmax")
    grid = grids["images"]
    assert grid.scale == pytest.approx(5 / 255)
    assert grid.zero == 51
    assert graph.output not in grids


def test_what_moves_numbers_has_one_grid() -> None:
    graph = two_convs(10.0)
    images = [torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)]
    grids = find_grids(graph, lambda: images, "minmax")
    left, right, both, pooled = (node.output for node in graph.nodes[:4])
    assert grids[left] == grids[right] == grids[both] == grids[pooled]
    assert grids[left].most == pytest.approx(10, abs=0.1)
    apart = find_grids(graph, lambda: images, "minmax", tie_concat=False)
    assert apart[left].scale == pytest.approx(apart[right].scale / 10, rel=1e-3)


def error(values: torch.Tensor, grid) -> float:
    rounded = torch.fake_quantize_per_tensor_affine(values, grid.scale, grid.zero, 0, 255)
    return float((rounded - values).square().mean())


def test_outliers_are_cut_where_that_is_better() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 1, 100, 100, generator=generator)
    values[0, 0, 0, 0] = 6.5
    grids = {
        method: find_grids(two_convs(), lambda: [values], method)["images"]
        for method in ("minmax", "percentile", "mse")
    }
    assert grids["minmax"].most == pytest.approx(6.5, abs=0.05)
    assert 3.4 < grids["percentile"].most < 4.8
    assert error(values, grids["mse"]) < error(values, grids["minmax"])
    assert error(values, grids["mse"]) <= error(values, grids["percentile"])


def test_without_outliers_nothing_is_cut() -> None:
    values = torch.linspace(-1, 1, 10000).reshape(1, 1, 100, 100)
    grid = find_grids(two_convs(), lambda: [values], "mse")["images"]
    assert grid.least == pytest.approx(-1, abs=0.03)
    assert grid.most == pytest.approx(1, abs=0.03)
