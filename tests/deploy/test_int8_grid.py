import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.deploy.graph import Add, Conv, Graph, Relu
from pocketface.deploy.int8.grid import Grid, Plan, Rounding, grid_over, round_weights

ends = st.floats(-1e3, 1e3, width=32)


@given(ends, ends)
def test_a_grid_holds_zero_and_its_range(one: float, other: float) -> None:
    least, most = min(one, other), max(one, other)
    grid = grid_over(least, most)
    assert 0 <= grid.zero <= 255
    assert grid.least <= 0 <= grid.most
    step = grid.scale
    if most - least > 1e-6:
        assert grid.least == pytest.approx(min(least, 0), abs=0.51 * step)
        assert grid.most == pytest.approx(max(most, 0), abs=0.51 * step)
    assert step == np.float32(step)


def test_a_map_that_is_zero_has_a_grid() -> None:
    assert grid_over(0, 0).scale > 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(1e-3, 1e3))
def test_each_channel_is_rounded_to_its_own_half_step(seed, channels, size) -> None:
    weight = size * np.random.default_rng(seed).normal(size=(channels, 3, 2, 2))
    weight[0] *= 100
    rounded, scales = round_weights(weight)
    assert rounded.dtype == np.int8
    for channel in range(channels):
        largest = max(abs(v) for v in weight[channel].ravel().tolist())
        assert scales[channel] == pytest.approx(largest / 127, rel=1e-6)
        for kept, was in zip(rounded[channel].ravel(), weight[channel].ravel(), strict=True):
            assert abs(int(kept) * float(scales[channel]) - was) <= 0.5001 * scales[channel]
        assert np.abs(rounded[channel]).max() == 127


def test_what_is_rounded_for_whom() -> None:
    """A convolution and its relu are one; between two nodes in float nothing is rounded."""
    graph = Graph("images", channels={"images": 1})
    one = np.ones((1, 1, 1, 1))
    first = graph.add(Conv(one, np.zeros(1)), "images")
    bent = graph.add(Relu(), first)
    second = graph.add(Conv(one, np.zeros(1)), bent)
    graph.output = graph.add(Add(), second, bent)
    nodes = {node.output: node for node in graph.nodes}
    grids = {name: Grid(1.0, 0) for name in ("images", first, bent, second)}
    rounding = Rounding(graph)
    assert rounding.fused == {first}

    def found(plan: Plan) -> set[tuple[str, str]]:
        return {
            (name, node.output)
            for node in graph.nodes
            for name in node.inputs
            if rounding.of(name, node, plan) is not None
        }

    everywhere = found(Plan(grids))
    assert everywhere == {
        ("images", first), (bent, second), (second, graph.output), (bent, graph.output)
    }  # fmt: skip
    assert found(Plan(grids, frozenset({first, bent}))) == everywhere - {("images", first)}
    left = found(Plan(grids, frozenset({first, bent, second})))
    assert left == {(second, graph.output), (bent, graph.output)}
    assert found(Plan(grids, frozenset(nodes))) == set()
