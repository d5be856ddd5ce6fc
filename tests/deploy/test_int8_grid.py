import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.deploy.graph import Add, Conv, Graph, Linear, Relu
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


def conv(weight: np.ndarray, groups: int = 1) -> Conv:
    return Conv(weight, np.zeros(len(weight)), groups=groups)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(1e-3, 1e3))
def test_each_channel_is_rounded_to_its_own_half_step(seed, channels, size) -> None:
    weight = size * np.random.default_rng(seed).normal(size=(channels, 3, 2, 2))
    weight[0] *= 100
    rounded, scales = round_weights(conv(weight), weight)
    assert rounded.dtype == np.int8
    for channel in range(channels):
        for kept, was in zip(rounded[channel].ravel(), weight[channel].ravel(), strict=True):
            assert abs(int(kept) * float(scales[channel]) - was) <= 0.5001 * scales[channel]


def test_a_depthwise_convolution_uses_all_of_its_bits() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 1, 3, 3))
    rounded, scales = round_weights(conv(weight, groups=4), weight)
    np.testing.assert_array_equal(np.abs(rounded).max(axis=(1, 2, 3)), 127)
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(1e-3, 1e3))
def test_factors_have_one_scale_together(seed, channels, size) -> None:
    weight = size * np.random.default_rng(seed).normal(size=(channels, 1, 1, 1))
    rounded, scales = round_weights(conv(weight, groups=channels), weight)
    assert len(scales) == channels
    assert len(set(scales.tolist())) == 1
    assert float(scales[0]) == pytest.approx(np.abs(weight).max() / 127, rel=1e-6)
    back = rounded.astype(float) * float(scales[0])
    np.testing.assert_allclose(back, weight, rtol=0, atol=0.5001 * float(scales[0]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from(["1x1", "3x3", "product"]))
def test_two_neighbouring_products_fit_in_16_bits(seed, inputs, kind) -> None:
    """What an x86 processor without 8-bit dot products adds up at once, at the worst input."""
    shape = {"1x1": (3, inputs, 1, 1), "3x3": (3, inputs, 3, 3), "product": (3, inputs)}[kind]
    weight = np.random.default_rng(seed).normal(size=shape) ** 3  # a few are large
    dense = Linear(weight, np.zeros(3)) if kind == "product" else conv(weight)
    rounded, scales = round_weights(dense, weight)
    steps = rounded * scales.astype(float).reshape(-1, *[1] * (weight.ndim - 1))
    assert (np.abs(steps - weight).max(axis=tuple(range(1, weight.ndim))) <= 0.5001 * scales).all()
    orders = [rounded.reshape(3, -1)]  # of channels, or of pixels, side by side
    if kind == "3x3":
        orders.append(rounded.transpose(0, 2, 3, 1).reshape(3, -1))
    for flat in orders:
        for row in flat.astype(int):
            for one, other in zip(row[::2], [*row[1::2], 0], strict=False):
                assert 255 * (max(one, 0) + max(other, 0)) <= 2**15 - 1
                assert 255 * (min(one, 0) + min(other, 0)) >= -(2**15)


def test_lonely_weights_lose_no_bits_to_overflow() -> None:
    """Neighbours of other signs, or small ones, do not add up."""
    weight = np.array([[1.0, -1.0, 0.0, 0.9], [1.0, 1.0, 0.0, 0.0]]).reshape(2, 4, 1, 1)
    rounded, _ = round_weights(conv(weight), weight)
    assert rounded[0].ravel().tolist() == [127, -127, 0, 114]
    assert np.abs(rounded[1]).max() == 64


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
