"""Per-layer times: names and blocks are the network's, the arithmetic is counted exactly."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from pocketface.deploy.fuse import fuse
from pocketface.deploy.trace import trace_graph
from pocketface.models import create_model
from pocketface.models.cost import measure_cost
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.profile.layers import blocks_of, mark_nodes, parts_by, time_layers
from pocketface.profile.network_layers import count_macs, measure_layers, module_names
from pocketface.profile.node_kinds import kind_of, macs_of
from pocketface.profile.open_subject import open_subjects


def opened(path, folder):
    (subject,) = open_subjects([str(path)], folder, np.random.default_rng(0))
    return subject


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "kind", "macs"),
    [
        ("Conv", [(2, 3, 8, 8), (6, 3, 3, 3)], (2, 6, 4, 4), "convolution 3x3", 2 * 96 * 27),
        ("Conv", [(1, 6, 8, 8), (4, 6, 1, 1)], (1, 4, 8, 8), "pointwise 1x1", 256 * 6),
        ("FusedConv", [(1, 6, 8, 8), (6, 1, 5, 5)], (1, 6, 8, 8), "depthwise 5x5", 384 * 25),
        ("Conv", [(1, 6, 8, 8), (6, 1, 1, 1)], (1, 6, 8, 8), "PReLU or scale", 384),
        ("Conv", [(1, 6, 8, 8), (6, 6, 1, 1)], (1, 6, 8, 8), "pointwise 1x1", 384 * 6),
        ("Conv", [(1, 6, 8, 8), (4, 3, 3, 3)], (1, 4, 8, 8), "grouped 3x3", 256 * 27),
        ("Conv", [(1, 1, 8, 8), (1, 1, 3, 3)], (1, 1, 8, 8), "convolution 3x3", 64 * 9),
        (
            "QLinearConv",
            [(1, 6, 8, 8), (1,), (1,), (4, 6, 1, 1), (4,)],
            (1, 4, 8, 8),
            "pointwise 1x1",
            256 * 6,
        ),
        ("Gemm", [(5, 7), (3, 7), (3,)], (5, 3), "matrix product", 105),
        ("MatMul", [(5, 7), (7, 3)], (5, 3), "matrix product", 105),
        ("ReorderOutput", [(1, 8, 4, 4)], (1, 8, 4, 4), "layout", 0),
        ("MaxPool", [(1, 8, 4, 4)], (1, 8, 2, 2), "max pool", 0),
        ("DequantizeLinear", [(1, 8), (1,)], (1, 8), "quantisation", 0),
        ("LSTM", [(1, 8), (1, 8)], (1, 8), "LSTM", 0),
    ],
)
def test_nodes_are_known_by_operator_and_shapes(operator, inputs, output, kind, macs) -> None:
    assert kind_of(operator, inputs) == kind
    assert macs_of(operator, inputs, output) == macs


def test_blocks_are_numbered_modules_that_hold_others() -> None:
    names = ["stem.0", "cells.0.preproc0", "cells.0", "cells.10.dag.1.0", "tail.6", "fc"]
    assert blocks_of(names) == {
        "stem.0": "stem",
        "cells.0.preproc0": "cells.0",
        "cells.0": "cells.0",
        "cells.10.dag.1.0": "cells.10",
        "tail.6": "tail",
        "fc": "fc",
    }


@pytest.mark.parametrize("name", ["pocketnet_nano", "mobilefacenet", "mobilenet_v2", "iresnet_18"])
def test_every_node_of_a_fused_graph_names_a_module(name: str) -> None:
    network = create_model(name, **({"width": 0.125} if name == "iresnet_18" else {}))
    graph = trace_graph(network)
    fuse(graph)
    names = module_names(graph)
    assert len(names) == len(graph.nodes)
    assert set(names) <= set(dict(network.named_modules()))
    assert len(set(names)) > 20
    # Batch norms are folded away, so none is a layer.
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    kinds = {found: type(network.get_submodule(found)) for found in names}
    held = [found for found, kind in kinds.items() if kind in norms]
    left = sum(type(node.operation).__name__ == "Affine" for node in graph.nodes)
    assert len(held) <= left + 1  # a flattening may count with the norm that it went behind


def test_layers_of_our_network_are_its_modules_with_its_arithmetic(tmp_path) -> None:
    network = create_model("mobilenet_v1", image_size=32, embedding_size=16)
    path = tmp_path / "m.safetensors"
    save_weights(
        network, path, preprocessing=Preprocessing(image_size=32), data="noise", licence="CC0"
    )
    subject = opened(path, tmp_path)
    layers = measure_layers(subject, 1, 0.0)
    assert layers.macs == measure_cost(network).macs == count_macs(subject)
    modules = set(dict(network.named_modules()))
    ours = [node for node in layers.nodes if node.kind != "layout"]
    assert {node.name for node in ours} <= modules
    assert layers.nodes[0].name == "stem.0"
    # What the runtime adds stands behind what ran before it: the maps are put in plain order last.
    assert {node.block for node in layers.nodes if node.kind == "layout"} <= {"gdconv", "linear"}
    blocks = list(dict.fromkeys(node.block for node in layers.nodes))
    assert blocks[:3] == ["stem", "blocks.0", "blocks.1"]
    assert len(blocks) == len(set(blocks)) >= 15
    convolutions = {node.name for node in layers.nodes if node.macs}
    expected = {
        module
        for module, layer in network.named_modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
    }
    assert convolutions == expected


def test_prelus_and_pools_of_a_pocketnet_are_found(small_weights, tmp_path) -> None:
    layers = measure_layers(opened(small_weights, tmp_path), 1, 0.0)
    kinds = {part.name for part in parts_by(layers, "kind")}
    assert {"PReLU or scale", "depthwise 3x3", "max pool", "concatenation"} <= kinds
    assert len({node.block for node in layers.nodes}) == 6


def test_a_foreign_file_keeps_its_names_and_is_grouped_by_size(tiny_onnx, tmp_path) -> None:
    subject = opened(tiny_onnx(tmp_path / "tiny.onnx"), tmp_path)
    layers = measure_layers(subject, 1, 0.0)
    assert layers.macs == 48 * 8
    names = {node.kind: node.name for node in layers.nodes}
    assert names["average pool"] == "AveragePool 0"
    assert {node.block for node in layers.nodes} <= {"4 x 4", "rows"}
    assert subject.parameters == 48 * 8 + 8


def test_parts_add_up(small_weights, tmp_path) -> None:
    layers = measure_layers(opened(small_weights, tmp_path), 1, 0.0)
    for attribute in ("kind", "name", "block"):
        parts = parts_by(layers, attribute)
        assert sum(part.nodes for part in parts) == len(layers.nodes)
        assert sum(part.macs for part in parts) == layers.macs
        assert sum(part.microseconds for part in parts) == pytest.approx(layers.microseconds)
        assert [p.microseconds for p in parts] == sorted(
            (p.microseconds for p in parts), reverse=True
        )
    ordered = [part.name for part in parts_by(layers, "block", ordered=True)]
    assert ordered == ["stem", "cells.0", "cells.1", "cells.2", "cells.3", "tail"]


def test_marks_do_not_change_what_is_computed(tiny_onnx, tmp_path) -> None:
    path = tiny_onnx(tmp_path / "tiny.onnx")
    model = onnx.load(str(path))
    names = mark_nodes(model, ["a", "b", "c", "d"])
    assert list(names.values()) == ["a", "b", "c", "d"]
    content = model.SerializeToString()
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype=np.float32)
    outputs = [
        onnxruntime.InferenceSession(source).run(None, {"faces": images})[0]
        for source in (str(path), content)
    ]
    np.testing.assert_array_equal(*outputs)
    layers = time_layers(content, images, 1, 2, names)
    assert {node.name for node in layers.nodes} <= set("abcd")
    assert (layers.batch, layers.runs) == (2, 2)


def test_graphs_inside_nodes_are_left_alone() -> None:
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("If", ["flag"], ["out"], then_branch=inner, else_branch=inner)
    model = helper.make_model(helper.make_graph([node], "outer", [], []))
    before = model.SerializeToString()
    assert mark_nodes(model, ["x"]) == {}
    assert model.SerializeToString() == before
