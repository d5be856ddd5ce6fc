"""A graph as a LiteRT model, without TensorFlow.

LiteRT keeps the channels last: maps are (N, H, W, C), a convolution's weights (O, K, K, C), a
depthwise one's (1, K, K, C). It pads by SAME or not at all, and SAME puts the odd pixel behind,
where torch has it in front: with a stride of 2 on an even side it reads other pixels. There a PAD
stands before the convolution; XNNPACK, which computes on CPUs, takes it into the convolution.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

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
from pocketface.deploy.litert_model import LiteRtModel
from pocketface.errors import ExportError

INPUT, OUTPUT, LENGTHS = "images", "embeddings", "lengths"
"""Names of the input (N, S, S, 3), and of the outputs (N, D) and (N, 1)."""

_LEAST_LENGTH = 1e-12
"""What a zero embedding is divided by, as torch's own `normalize` does: it stays zero."""

_Kind = schema.BuiltinOperator

_RELUS = {None: _Kind.RELU, 6.0: _Kind.RELU6}
"""By the most that they let through."""


def write_litert(
    graph: Graph,
    image_size: int,
    metadata: Mapping[str, str],
    *,
    pixels: bool = False,
    unit: bool = False,
    batch: int | None = None,
) -> bytes:
    """The content of a `.tflite` of `graph` for images float32 (N, S, S, 3), S = `image_size`.

    With `pixels` they are uint8; the graph must take RGB values then, as after `take_pixels`. With
    `unit` the embeddings are divided by their length, which is a second output `lengths` (N, 1).
    Without `batch` N is free. Raises ExportError for what LiteRT cannot compute.
    """
    writer = _Writer(graph, image_size, batch)
    writer.begin(pixels=pixels)
    for node in graph.nodes:
        writer.write(node)
    writer.end(unit=unit)
    return writer.model.pack(metadata)


class _Writer:
    """Puts a graph's nodes into a model."""

    def __init__(self, graph: Graph, image_size: int, batch: int | None) -> None:
        self.model = LiteRtModel(batch)
        self._graph = graph
        self._tensors: dict[str, int] = {}
        self._sides = {graph.input: image_size}  # of the values that are maps, not rows

    def begin(self, *, pixels: bool) -> None:
        """Write the input."""
        side = self._sides[self._graph.input]
        given = self.model.tensor((side, side, 3), np.uint8 if pixels else np.float32)
        self.model.take(given, INPUT)
        if pixels:
            options = schema.CastOptionsT()
            options.inDataType = schema.TensorType.UINT8
            options.outDataType = schema.TensorType.FLOAT32
            given = self._compute(_Kind.CAST, [given], (side, side, 3), options)
        self._tensors[self._graph.input] = given

    def end(self, *, unit: bool) -> None:
        """Write the outputs."""
        raw = self._tensors[self._graph.output]
        if not unit:
            self.model.give(raw, OUTPUT)
            return
        width = self._graph.channels[self._graph.output]
        over = schema.ReducerOptionsT()
        over.keepDims = True
        axes = self.model.constant(np.array([1], np.int32))
        least = self.model.constant(np.array([_LEAST_LENGTH]))
        squares = self._compute(_Kind.MUL, [raw, raw], (width,), schema.MulOptionsT())
        total = self._compute(_Kind.SUM, [squares, axes], (1,), over)
        lengths = self._compute(_Kind.SQRT, [total], (1,))
        divisor = self._compute(
            _Kind.MAXIMUM, [lengths, least], (1,), schema.MaximumMinimumOptionsT()
        )
        rows = self._compute(_Kind.DIV, [raw, divisor], (width,), schema.DivOptionsT())
        self.model.give(rows, OUTPUT)
        self.model.give(lengths, LENGTHS)

    def write(self, node: Node) -> None:
        """Append the node."""
        match node.operation:
            case Conv() as conv:
                self._write_conv(node, conv)
            case Linear(weight, bias):
                options = schema.FullyConnectedOptionsT()
                self._put(node, _Kind.FULLY_CONNECTED, None, [weight, bias], options)
            case Affine() as affine:
                self._write_affine(node, affine)
            case PRelu(slope):
                weight = slope.reshape(1, 1, -1) if node.inputs[0] in self._sides else slope
                self._put(node, _Kind.PRELU, self._side(node), [weight])
            case Relu(most):
                if most not in _RELUS:
                    raise ExportError(f"LiteRT has a relu up to 6, and none up to {most:g}.")
                self._put(node, _RELUS[most], self._side(node))
            case Add():
                self._put(node, _Kind.ADD, self._side(node), options=schema.AddOptionsT())
            case Concat():
                options = schema.ConcatenationOptionsT()
                options.axis = 3
                self._put(node, _Kind.CONCATENATION, self._side(node), options=options)
            case Pool() as pool:
                self._write_pool(node, pool)
            case Flatten():
                self._write_flatten(node)

    def _write_conv(self, node: Node, conv: Conv) -> None:
        side = self._sides[node.inputs[0]]
        source = self._tensors[node.inputs[0]]
        if conv.depthwise:
            kind, options = _Kind.DEPTHWISE_CONV_2D, schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            weight = conv.weight[:, 0].transpose(1, 2, 0)[None]
        else:
            kind, options = _Kind.CONV_2D, schema.Conv2DOptionsT()
            weight = conv.weight.transpose(0, 2, 3, 1)
        options.strideW = options.strideH = conv.stride
        options.padding = schema.Padding.VALID
        if conv.pads != (0, 0):
            if _is_same(side, conv.kernel, conv.stride, conv.pads):
                options.padding = schema.Padding.SAME
            else:
                source = self._pad(source, side, conv, self._graph.channels[node.inputs[0]])
        after = _side_after(side, conv.kernel, conv.stride, conv.pads)
        self._put(node, kind, after, [weight, conv.bias], options, source=source)

    def _pad(self, source: int, side: int, conv: Conv, channels: int) -> int:
        """Zeros around a map, no more than the convolution reads."""
        last = _side_after(side, conv.kernel, conv.stride, conv.pads) - 1
        before = conv.pads[0]
        after = max(last * conv.stride + conv.kernel - side - before, 0)
        amounts = np.array([(0, 0), (before, after), (before, after), (0, 0)], np.int32)
        padded = side + before + after
        inputs = [source, self.model.constant(amounts)]
        return self._compute(_Kind.PAD, inputs, (padded, padded, channels), schema.PadOptionsT())

    def _write_pool(self, node: Node, pool: Pool) -> None:
        side, pads = self._sides[node.inputs[0]], (pool.pad, pool.pad)
        options = schema.Pool2DOptionsT()
        options.strideW = options.strideH = pool.stride
        options.filterWidth = options.filterHeight = pool.kernel
        options.padding = schema.Padding.VALID
        if pool.pad:
            options.padding = schema.Padding.SAME  # an average leaves the padding out, as ours
            if not _is_same(side, pool.kernel, pool.stride, pads):
                raise ExportError(
                    f"LiteRT has no pool of {pool.kernel}x{pool.kernel} with stride {pool.stride} "
                    f"and {pool.pad} pixels of padding."
                )
        kind = _Kind.AVERAGE_POOL_2D if pool.average else _Kind.MAX_POOL_2D
        after = _side_after(side, pool.kernel, pool.stride, pads)
        self._put(node, kind, after, options=options)

    def _write_affine(self, node: Node, affine: Affine) -> None:
        side, source = self._side(node), self._tensors[node.inputs[0]]
        if (affine.scale != 1).any():
            sides = self._shape(side, len(affine.scale))
            inputs = [source, self.model.constant(affine.scale)]
            source = self._compute(_Kind.MUL, inputs, sides, schema.MulOptionsT())
        self._put(node, _Kind.ADD, side, [affine.shift], schema.AddOptionsT(), source=source)

    def _write_flatten(self, node: Node) -> None:
        side, channels = self._sides[node.inputs[0]], self._graph.channels[node.inputs[0]]
        source = self._tensors[node.inputs[0]]
        if side > 1:  # torch puts the pixels of each channel together
            inputs = [source, self.model.constant(np.array([0, 3, 1, 2], np.int32))]
            turned = (channels, side, side)
            source = self._compute(_Kind.TRANSPOSE, inputs, turned, schema.TransposeOptionsT())
        width = channels * side**2
        options = schema.ReshapeOptionsT()
        options.newShape = [-1, width]
        shape = self.model.constant(np.array(options.newShape, np.int32))
        self._tensors[node.output] = self._compute(
            _Kind.RESHAPE, [source, shape], (width,), options
        )

    def _put(
        self,
        node: Node,
        kind: int,
        side: int | None,
        weights: Sequence[Floats] = (),
        options: Any = None,
        *,
        source: int | None = None,
    ) -> None:
        """Append the operator that gives the node's value; `source` in the place of its inputs."""
        inputs = [self._tensors[name] for name in node.inputs] if source is None else [source]
        inputs += [self.model.constant(weight) for weight in weights]
        sides = self._shape(side, self._graph.channels[node.output])
        self._tensors[node.output] = self._compute(kind, inputs, sides, options)
        if side is not None:
            self._sides[node.output] = side

    def _compute(
        self, kind: int, inputs: Sequence[int], sides: Sequence[int], options: Any = None
    ) -> int:
        made = self.model.tensor(sides)
        self.model.operate(kind, inputs, made, options)
        return made

    def _side(self, node: Node) -> int | None:
        """The side of the map that the node takes; None where it takes rows."""
        return self._sides.get(node.inputs[0])

    def _shape(self, side: int | None, channels: int) -> tuple[int, ...]:
        return (channels,) if side is None else (side, side, channels)


def _side_after(side: int, kernel: int, stride: int, pads: tuple[int, int]) -> int:
    return (side + sum(pads) - kernel) // stride + 1


def _is_same(side: int, kernel: int, stride: int, pads: tuple[int, int]) -> bool:
    """Whether LiteRT's SAME begins at the same pixel, and gives as many."""
    after = -(-side // stride)
    padding = max((after - 1) * stride + kernel - side, 0)
    return pads[0] == padding // 2 and after == _side_after(side, kernel, stride, pads)
