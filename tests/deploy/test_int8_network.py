"""A graph in 8 bits: prepared exactly, run in torch, written as QDQ and run in onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from graph_oracle import compute
from hypothesis import given
from hypothesis import strategies as st
from trained_networks import BUILDS, as_trained

from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Add, Affine, Conv, Graph, Linear, PRelu, Relu
from pocketface.deploy.int8.calibrate import find_grids
from pocketface.deploy.int8.finetune import fine_tune
from pocketface.deploy.int8.grid import Grid, Plan, has_weights
from pocketface.deploy.int8.network import GraphNetwork
from pocketface.deploy.int8.prepare import bend_prelus, prepare
from pocketface.deploy.int8.sensitive import (
    float_layers,
    leave_first_in_float,
    leave_sensitive_in_float,
    mean_cosine,
)
from pocketface.deploy.int8.write import Int8Writer
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph

NAMES = ["small", "mobilefacenet_foamliu", "iresnet"]


def graph_of(name: str) -> Graph:
    graph = trace_graph(as_trained(BUILDS[name]()).eval())
    fold(graph)
    return graph


def images_of(count: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")


def planned(name: str) -> tuple[Graph, Plan]:
    graph = graph_of(name)
    prepare(graph)
    return graph, Plan(find_grids(graph, lambda: images_of().split(4), "minmax"))


def run(model: onnx.ModelProto, images: torch.Tensor, *, optimise: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"images": images.numpy()})[0]


@pytest.mark.parametrize("name", NAMES)
def test_preparing_changes_nothing(name: str) -> None:
    images = images_of(2).double()
    graph = graph_of(name)
    wanted = compute(graph, images)
    for node in graph.nodes:
        if isinstance(node.operation, PRelu):  # some channels are steep
            node.operation.slope[::3] = 1.7
            node.operation.slope[1::3] = -0.4
    bent = compute(graph, images)
    prepare(graph)
    torch.testing.assert_close(compute(graph, images), bent, rtol=1e-9, atol=1e-9)
    assert (bent != wanted).any() or name == "mobilefacenet_foamliu"
    kinds = {type(node.operation) for node in graph.nodes}
    assert PRelu not in kinds
    assert Affine not in {
        type(n.operation) for n in graph.nodes if graph.channels[n.inputs[0]] != 16
    }


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.integers(0, 1000))
def test_a_bent_prelu_is_the_prelu(slopes: list[float], seed: int) -> None:
    graph = Graph("images", channels={"images": len(slopes)})
    graph.output = graph.add(PRelu(np.array(slopes)), "images")
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, len(slopes), 3, 3)))
    wanted = compute(graph, images)
    bend_prelus(graph)
    assert {type(node.operation) for node in graph.nodes} == {Conv, Relu, Add}
    torch.testing.assert_close(compute(graph, images), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_plan_the_module_is_the_graph(name: str) -> None:
    graph, _ = planned(name)
    images = images_of(2)
    with torch.no_grad():
        found = GraphNetwork(graph).eval()(images)
    wanted = compute(graph, images.double())
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_computes_what_was_tried(name: str) -> None:
    """The runtime's rounding may differ by a step where a number lies between two."""
    graph, plan = planned(name)
    plan = leave_first_in_float(graph, plan)
    images = images_of()
    with torch.no_grad():
        exact, tried = GraphNetwork(graph)(images), GraphNetwork(graph, plan)(images)
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    onnx.checker.check_model(model)
    assert len(model.SerializeToString()) < 0.6 * len(
        write_graph(graph, 32, 18, {}).SerializeToString()
    )
    lost = (tried - exact).norm()
    assert lost > 0
    for optimise in (True, False):
        found = torch.from_numpy(run(model, images, optimise=optimise))
        assert (found - tried).norm() < lost  # 1.4 times, were they not related
        assert (found - exact).norm() < 1.3 * lost


@pytest.mark.parametrize("name", NAMES)
def test_the_runtime_computes_it_in_8_bits(name: str, tmp_path) -> None:
    """Though biases are float in the file, and factors have one scale together."""
    graph, plan = planned(name)
    plan = leave_first_in_float(graph, plan)
    model = write_graph(graph, 32, 17, {}, writer=Int8Writer(graph, plan))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    layers = [node for node in graph.nodes if isinstance(node.operation, Conv)]
    in_float = sum(node.output in plan.exact for node in layers)
    assert found.count("QLinearConv") == len(layers) - in_float
    assert found.count("Conv") == in_float


def test_everything_in_float_is_the_float_file() -> None:
    graph, plan = planned("small")
    plan = Plan(plan.grids, frozenset(node.output for node in graph.nodes))
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}
    found = run(model, images_of(2))
    wanted = run(write_graph(graph, 32, 18, {}), images_of(2))
    # Its weights are kept in 16 bits.
    assert np.linalg.norm(found - wanted) < 2e-3 * np.linalg.norm(wanted)


def test_a_relu6_that_ends_below_its_grid_is_written() -> None:
    graph, plan = planned("mobilefacenet_foamliu")
    wide = {name: type(grid)(max(grid.scale, 0.1), grid.zero) for name, grid in plan.grids.items()}
    plan = Plan(wide)
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    assert "Clip" in {node.op_type for node in model.graph.node}
    with torch.no_grad():
        tried = GraphNetwork(graph, plan)(images_of())
    cosine = torch.cosine_similarity(torch.from_numpy(run(model, images_of())), tried)
    assert cosine.min() > 0.99


def test_what_gains_most_is_left_in_float() -> None:
    graph, plan = planned("mobilefacenet_foamliu")
    plan = leave_first_in_float(graph, plan)
    images = images_of()
    # What this layer gives is rounded far too coarsely; its takers are sums that stay rounded.
    layers = [node for node in graph.nodes if has_weights(node)]
    victim = next(n for n in layers[4:] if graph.consumers()[n.output][0] in layers)
    taker = graph.consumers()[victim.output][0]
    graph.layers[taker.output] = graph.layers[victim.output]
    grid = plan.grids[victim.output]
    plan = Plan({**plan.grids, victim.output: Grid(60 * grid.scale, grid.zero)}, plan.exact)
    with torch.no_grad():
        wanted = GraphNetwork(graph)(images)
    before = mean_cosine(GraphNetwork(graph, plan), images, wanted)
    told: list[tuple[int, int]] = []
    found = leave_sensitive_in_float(
        graph, plan, images, wanted, 0.5 * (1 + before), lambda *a: told.append(a)
    )
    assert {victim.output, taker.output} <= found.exact
    assert graph.layers[victim.output] in float_layers(graph, found)
    assert mean_cosine(GraphNetwork(graph, found), images, wanted) > before
    assert told[-1][0] == told[-1][1] == len(told)
    assert leave_sensitive_in_float(graph, plan, images, wanted, aim=before) == plan


def test_fine_tuning_comes_nearer_and_is_repeatable() -> None:
    graph, plan = planned("mobilefacenet_foamliu")
    images = images_of()
    with torch.no_grad():
        wanted = GraphNetwork(graph)(images)
    before = mean_cosine(GraphNetwork(graph, plan), images, wanted)
    told: list[tuple[int, int]] = []

    def tune(steps: int) -> Graph:
        generator = torch.Generator().manual_seed(0)
        return fine_tune(graph, plan, images, steps, generator, lambda *a: told.append(a))

    tuned = tune(30)
    assert told == [(step, 30) for step in range(1, 31)]
    after = mean_cosine(GraphNetwork(tuned, plan), images, wanted)
    assert 1 - after < 0.9 * (1 - before)
    for one, other in zip(tune(2).nodes, tune(2).nodes, strict=True):
        if isinstance(one.operation, Conv | Linear):
            np.testing.assert_array_equal(one.operation.weight, other.operation.weight)
