import numpy as np
import torch
from graph_oracle import compute
from hypothesis import given
from hypothesis import strategies as st

from pocketface.deploy.graph import Add, Concat, Conv, Graph
from pocketface.deploy.int8.join import join_sums


def pointwise(generator: np.random.Generator, inputs: int, outputs: int, **options) -> Conv:
    weight = generator.normal(size=(outputs, inputs, 1, 1))
    return Conv(weight, generator.normal(size=outputs), **options)


def kinds(graph: Graph) -> list[type]:
    return [type(node.operation) for node in graph.nodes]


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 4))
def test_any_number_of_sums_becomes_one_convolution(seed, terms, channels) -> None:
    generator = np.random.default_rng(seed)
    graph = Graph("images", channels={"images": channels})
    total = graph.add(pointwise(generator, channels, 3), "images")
    for _ in range(terms - 1):
        term = graph.add(pointwise(generator, channels, 3), "images")
        total = graph.add(Add(), total, term)
    graph.output = total
    images = torch.from_numpy(generator.normal(size=(2, channels, 4, 4)))
    wanted = compute(graph, images)
    join_sums(graph)
    assert kinds(graph) == [Concat, Conv]
    assert graph.nodes[-1].operation.weight.shape == (3, terms * channels, 1, 1)
    torch.testing.assert_close(compute(graph, images), wanted)


def test_what_is_no_sum_of_two_pointwise_convolutions_stays() -> None:
    generator = np.random.default_rng(0)

    def with_terms(second: Conv, *, shared: bool = False) -> Graph:
        graph = Graph("images", channels={"images": 2})
        one = graph.add(pointwise(generator, 2, 2), "images")
        other = graph.add(second, "images")
        graph.output = graph.add(Add(), one, other)
        if shared:
            graph.output = graph.add(Add(), graph.output, one)
        return graph

    wide = Conv(generator.normal(size=(2, 2, 3, 3)), np.zeros(2), pads=(1, 1))
    depthwise = Conv(np.ones((2, 1, 1, 1)), np.zeros(2), groups=2)
    for second in (wide, depthwise):
        graph = with_terms(second)
        join_sums(graph)
        assert kinds(graph) == [Conv, Conv, Add]
    graph = with_terms(pointwise(generator, 2, 2), shared=True)  # taken twice
    join_sums(graph)
    assert kinds(graph) == [Conv, Conv, Add, Add]
    graph = with_terms(pointwise(generator, 2, 2))
    join_sums(graph, {graph.output})
    assert kinds(graph) == [Conv, Conv, Add]
