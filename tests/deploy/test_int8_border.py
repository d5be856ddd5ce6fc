"""Where 8 bits begin: by name, by cost, and that nothing but the rounding changes there."""

import numpy as np
import pytest
import torch
from graph_oracle import compute
from test_int8_network import graph_of, images_of, run
from trained_networks import BUILDS

from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.border import AUTO, FLOAT, INT8, START, find_border
from pocketface.deploy.int8.calibrate import find_grids
from pocketface.deploy.int8.grid import Grid, Plan
from pocketface.deploy.int8.network import GraphNetwork
from pocketface.deploy.int8.prepare import prepare
from pocketface.deploy.int8.sensitive import first_layer, float_layers, leave_first_in_float
from pocketface.deploy.int8.write import Int8Writer
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.errors import RecipeError
from pocketface.models import create_model


def folded(name: str) -> Graph:
    graph = trace_graph(create_model(name, generator=torch.Generator().manual_seed(0)))
    fold(graph)
    return graph


def bordered(wanted: str) -> tuple[Graph, Plan]:
    graph = graph_of("small")
    early = prepare(graph, find_border(graph, wanted, 32))
    grids = find_grids(graph, lambda: images_of().split(4), "minmax")
    return graph, leave_first_in_float(graph, Plan(grids, early, early))


@pytest.mark.parametrize("name", sorted(BUILDS))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_preparing_changes_nothing_whatever_the_border(name: str, share: float) -> None:
    graph = graph_of(name)
    images = torch.randn(
        1, 3, *[64 if name == "nano" else 32] * 2, generator=torch.Generator().manual_seed(0)
    ).double()
    wanted = compute(graph, images)
    prepare(graph, round(share * len(graph.nodes)))
    torch.testing.assert_close(compute(graph, images), wanted, rtol=1e-9, atol=1e-9)


def test_a_module_is_found_by_its_name() -> None:
    graph = folded("pocketnet_nano")
    layers = [graph.layers[node.output] for node in graph.nodes]
    for wanted in ("cells.3", "cells.1.preproc1", "tail", "tail.4"):
        place = find_border(graph, wanted, 64)
        assert layers[place] == wanted or layers[place].startswith(f"{wanted}.")
        assert not any(f"{layer}.".startswith(f"{wanted}.") for layer in layers[:place])
    assert find_border(graph, START, 64) == 0
    for wrong in ("cells.30", "cell", "", "cells.1.p"):
        with pytest.raises(RecipeError, match=r"is no module .* 'start'.*cells\.3"):
            find_border(graph, wrong, 64)


def test_8_bits_pay_from_the_start_or_late() -> None:
    """PocketNets and foamliu's MobileFaceNet as raced; the others as the table of costs has it."""
    for name in ("pocketnet_m_128", "mobilefacenet", "mobilefacenet_foamliu", "mobilenet_v1"):
        assert find_border(folded(name), AUTO, 112) == 0
    graph = folded("pocketnet_s_128")
    place = find_border(graph, AUTO, 112)
    cell = graph.layers[graph.nodes[place].output].split(".")[:2]
    assert cell[0] == "cells"
    assert 8 <= int(cell[1]) <= 13
    assert find_border(folded("pocketnet_s_128"), AUTO, 112) == place


def test_the_border_follows_the_costs(monkeypatch) -> None:
    graph = folded("pocketnet_nano")
    for costs in (FLOAT, INT8):
        for kind in costs:
            monkeypatch.setitem(costs, kind, FLOAT["dense"])
    assert find_border(graph, AUTO, 64) == 0  # all the same, but a crossing would cost
    monkeypatch.setitem(INT8, "dense", FLOAT["pool"])
    assert find_border(graph, AUTO, 64) == 0
    for kind in INT8:
        monkeypatch.setitem(INT8, kind, type(INT8[kind])(1.0, 1.0, 1e6))
    assert graph.layers[graph.nodes[find_border(graph, AUTO, 64)].output] == "tail.6"


@pytest.mark.parametrize("wanted", ["cells.1", "cells.2.preproc1", "tail"])
def test_before_the_border_all_is_float_and_nothing_is_rounded(wanted: str) -> None:
    graph, plan = bordered(wanted)
    assert first_layer(graph, plan).startswith(wanted)
    assert float_layers(graph, plan) == []
    seen: dict[str, torch.Tensor] = {}
    exact: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        tried = GraphNetwork(graph, plan)(images_of(2), seen.__setitem__)
        wanted_output = GraphNetwork(graph)(images_of(2), exact.__setitem__)
    assert (tried - wanted_output).abs().max() > 0
    for name in plan.early & seen.keys():
        torch.testing.assert_close(seen[name], exact[name])


def test_the_file_computes_what_was_tried_across_the_border() -> None:
    graph, plan = bordered("cells.2")
    images = images_of()
    with torch.no_grad():
        exact, tried = GraphNetwork(graph)(images), GraphNetwork(graph, plan)(images)
    lost = (tried - exact).norm()
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    for optimise in (True, False):
        found = torch.from_numpy(run(model, images, optimise=optimise))
        assert (found - tried).norm() < lost
        assert (found - exact).norm() < 1.3 * lost


def test_what_is_in_float_is_kept_in_16_bits() -> None:
    graph, plan = bordered("tail")
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    sizes = {w.data_type: 0 for w in model.graph.initializer}
    for weight in model.graph.initializer:
        sizes[weight.data_type] += int(np.prod(weight.dims))
    assert sizes[10] > 10 * sizes[1]  # float16, float32: few numbers, scales and biases


def test_pocketnet_s_128_is_small_enough() -> None:
    """1.25 MB, with a card in it: the bar of docs/results.md."""
    graph = folded("pocketnet_s_128")
    early = prepare(graph, find_border(graph, AUTO, 112))
    names = [node.output for node in graph.nodes]
    grids = {name: Grid(0.1 + 1e-3 * place, place % 256) for place, name in enumerate(names)}
    plan = leave_first_in_float(graph, Plan(grids, early, early))
    model = write_graph(graph, 112, 18, {}, writer=Int8Writer(graph, plan))
    assert len(model.SerializeToString()) < 1.24e6


def test_weights_beyond_16_bits_stay_in_32() -> None:
    graph, plan = bordered("tail")
    dense = next(n for n in graph.nodes if graph.layers[n.output].startswith("cells.1"))
    dense.operation.weight.ravel()[0] = 1e6
    model = write_graph(graph, 32, 18, {}, writer=Int8Writer(graph, plan))
    widest = max(abs(_numbers(w)).max() for w in model.graph.initializer)
    assert widest == 1e6


def _numbers(tensor) -> np.ndarray:
    from onnx import numpy_helper

    return numpy_helper.to_array(tensor).astype(float)
