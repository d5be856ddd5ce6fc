"""A graph as an ONNX model with nothing in it that its runtime does not need."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import pocketface
from pocketface.deploy.graph import (
    Add,
    Affine,
    Concat,
    Conv,
    Flatten,
    Floats,
    Graph,
    Linear,
    Node,
    Pool,
    PRelu,
    Relu,
)

OUTPUT, LENGTHS, BATCH = "embeddings", "lengths", "batch"
"""Names of the outputs (batch, D) and (batch, 1), and of the first axis."""

_LEAST_LENGTH = 1e-12
"""What a zero embedding is divided by, as torch's own `normalize` does: it stays zero."""


def write_graph(
    graph: Graph,
    image_size: int,
    opset: int,
    metadata: Mapping[str, str],
    *,
    pixels: bool = False,
    unit: bool = False,
    batch: int | None = None,
    writer: "Writer | None" = None,
) -> onnx.ModelProto:
    """The ONNX model of `graph` for images float32 (batch, 3, image_size, image_size).

    It gives `embeddings` float32 (batch, D) for any batch, or for this `batch` only. `metadata` is
    kept in the file. With `pixels` it takes uint8 (batch, image_size, image_size, 3) instead, for
    a graph of `take_pixels`. With `unit` the embeddings are divided by their length, which is a
    second output `lengths` (batch, 1). Another `writer` of the graph may write its nodes. The
    format's version is the least that knows the operators, so that older runtimes read it.
    """
    writer = writer or Writer(graph)
    if pixels:
        writer.begin_with_pixels()
    if unit:
        writer.end_with_unit_length()
    for node in graph.nodes:
        writer.write(node)
    sides = [image_size, image_size, 3] if pixels else [3, image_size, image_size]
    images = onnx.TensorProto.UINT8 if pixels else onnx.TensorProto.FLOAT
    outputs = {OUTPUT: graph.channels[graph.output]} | ({LENGTHS: 1} if unit else {})
    rows = batch or BATCH
    made = helper.make_graph(
        [*writer.before, *writer.nodes, *writer.after],
        "network",
        [helper.make_tensor_value_info(graph.input, images, [rows, *sides])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [rows, width])
            for name, width in outputs.items()
        ],
        writer.weights,
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        made,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="pocketface",
        producer_version=pocketface.__version__,
    )
    helper.set_model_props(model, dict(metadata))
    return model


class Writer:
    """The nodes and weights of an ONNX graph, under the shortest names."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.before: list[onnx.NodeProto] = []
        self.after: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._graph = graph
        self._names = {graph.input: graph.input, graph.output: OUTPUT}
        self._taken = 0
        self._maps = {graph.input}  # the values that are maps, not rows

    def begin_with_pixels(self) -> None:
        """Let the graph's input be what its pixels are in the order of its maps."""
        given, turned, numbers = self._graph.input, self._new(), self._new()
        self._names[given] = numbers
        self.before = [
            helper.make_node("Transpose", [given], [turned], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", [turned], [numbers], to=onnx.TensorProto.FLOAT),
        ]

    def end_with_unit_length(self) -> None:
        """Divide the graph's output by its length."""
        raw, axes, least, divisor = (self._new() for _ in range(4))
        self._names[self._graph.output] = raw
        self.weights += [
            numpy_helper.from_array(np.array([1], np.int64), axes),
            numpy_helper.from_array(np.array(_LEAST_LENGTH, np.float32), least),
        ]
        self.after = [
            helper.make_node("ReduceL2", [raw, axes], [LENGTHS], keepdims=1),
            helper.make_node("Max", [LENGTHS, least], [divisor]),
            helper.make_node("Div", [raw, divisor], [OUTPUT]),
        ]

    def write(self, node: Node) -> None:
        """Append the node."""
        if not isinstance(node.operation, Flatten | Linear) and node.inputs[0] in self._maps:
            self._maps.add(node.output)
        match node.operation:
            case Conv() as conv:
                weights = [conv.weight, conv.bias] if conv.bias.any() else [conv.weight]
                self._put(node, "Conv", weights, **_options(conv))
            case Linear(weight, bias):
                self._put(node, "Gemm", [weight, bias], transB=1)
            case Affine() as affine:
                self._write_affine(node, affine)
            case PRelu(slope):
                # Of four dimensions: OpenVINO reorders each map for a slope of three.
                self._put(node, "PRelu", [slope.reshape(1, -1, 1, 1)])
            case Relu(None):
                self._put(node, "Relu", [])
            case Relu(most):
                self._put(node, "Clip", [np.zeros(()), np.array(most)])
            case Add():
                self._put(node, "Add", [])
            case Concat():
                self._put(node, "Concat", [], axis=1)
            case Pool() as pool:
                self._put(
                    node,
                    "AveragePool" if pool.average else "MaxPool",
                    [],
                    kernel_shape=[pool.kernel] * 2,
                    strides=[pool.stride] * 2,
                    pads=[pool.pad] * 4,
                )
            case Flatten():
                self._put(node, "Flatten", [], axis=1)

    def _write_affine(self, node: Node, affine: Affine) -> None:
        channels = len(affine.scale)
        if node.inputs[0] in self._maps and (affine.scale == 1).all():
            self._put(node, "Add", [affine.shift.reshape(-1, 1, 1)])
        elif node.inputs[0] in self._maps:
            # A depthwise convolution keeps the runtime's layout, a batch norm does not.
            weight = affine.scale.reshape(channels, 1, 1, 1)
            self._put(node, "Conv", [weight, affine.shift], kernel_shape=[1, 1], group=channels)
        else:
            self._write_norm(node, affine)

    def _write_norm(self, node: Node, affine: Affine) -> None:
        zeros, ones = np.zeros_like(affine.scale), np.ones_like(affine.scale)
        weights = [affine.scale, affine.shift, zeros, ones]
        self._put(node, "BatchNormalization", weights, epsilon=0.0)

    def _put(self, node: Node, kind: str, weights: Sequence[Floats], **options: Any) -> None:
        inputs = [self._short(name) for name in node.inputs]
        for weight in weights:
            name = self._new()
            self.weights.append(numpy_helper.from_array(weight.astype(np.float32), name))
            inputs.append(name)
        self.nodes.append(helper.make_node(kind, inputs, [self._short(node.output)], **options))

    def _short(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = self._new()
        return self._names[name]

    def _new(self) -> str:
        self._taken += 1
        return np.base_repr(self._taken, 36).lower()


def _options(conv: Conv) -> dict[str, Any]:
    """What is not the format's default: in a file of 8 bits it weighs as much as the biases."""
    before, after = conv.pads
    options: dict[str, Any] = {}
    if conv.kernel > 1:
        options["kernel_shape"] = [conv.kernel] * 2
    if conv.stride > 1:
        options["strides"] = [conv.stride] * 2
    if before or after:
        options["pads"] = [before, before, after, after]
    if conv.groups > 1:
        options["group"] = conv.groups
    return options
