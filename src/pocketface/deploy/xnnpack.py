"""A graph as a network of XNNPACK, in the form in which ExecuTorch hands it over.

ExecuTorch's own way, through torch.export and its passes, leads to the same operations and takes a
minute of computing for a PocketNet; from our graph it takes a second.

XNNPACK keeps the channels last. The images are turned once where they come in, and maps once more
where they become rows.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.deploy.executorch_format import (
    CONSTANT_TENSOR_ALIGNMENT,
    NamedDataStore,
    NamedDataStoreOutput,
    quiet,
    serialize_xnnpack_binary,
    xnn,
)
from pocketface.deploy.graph import (
    Add,
    Affine,
    Concat,
    Conv,
    Flatten,
    Graph,
    Linear,
    Node,
    Pool,
    PRelu,
    Relu,
)

_NONE = 2**32 - 1
"""XNNPACK's mark for a value that is not there, or that nobody outside knows."""

_APART = 2**64 - 1
"""The place of a weight that is found by its name."""

_NAME = 16
"""Digits of a weight's name. It is of its content: names of several files may meet in one cache."""

_INPUT, _OUTPUT, _KEEP_DIMS = 1, 2, 64
"""XNNPACK's flags for values that come from outside and go there, and for pools."""

_MOST_JOINED = 5
"""Maps that one concatenation takes."""

_LEAST_LENGTH = 1e-12
"""What a zero embedding is divided by: it stays zero."""

_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def write_xnnpack(
    graph: Graph, image_size: int, *, pixels: bool = False, unit: bool = False
) -> tuple[bytes, NamedDataStoreOutput]:
    """The network of `graph` for one image, and apart from it its weights by name.

    It takes float32 (1, 3, image_size, image_size), normalised, and gives the embedding, float32
    (1, D). With `pixels` it takes uint8 (1, image_size, image_size, 3) instead, for a graph of
    `take_pixels`. With `unit` the embedding is divided by its length, which is a second output
    (1, 1).
    """
    writer = _Writer(graph)
    writer.begin(image_size, pixels=pixels)
    for node in graph.nodes:
        writer.write(node)
    writer.end(unit=unit)
    network = xnn.XNNGraph(
        version="0",
        xnodes=writer.nodes,
        xvalues=writer.values,
        num_externs=writer.externals,
        input_ids=[],
        output_ids=[],
        constant_data=writer.offsets,
    )
    with quiet():
        content = serialize_xnnpack_binary(network, bytearray())
    return content, writer.weights.get_named_data_store_output()


class _Writer:
    """Nodes, values and weights. A value's shape is (1, H, W, C) for a map and (1, C) for a row."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[xnn.XNode] = []
        self.values: list[xnn.XValue] = []
        self.weights = NamedDataStore()
        self.offsets = [xnn.ConstantDataOffset(0, 0)]  # number 0 says that a value is no weight
        self.externals = 0
        self._graph = graph
        self._ids: dict[str, int] = {}
        self._shapes: dict[int, list[int]] = {}

    def begin(self, image_size: int, *, pixels: bool) -> None:
        """Let the graph's input be the images with channels last, as float32."""
        last = [1, image_size, image_size, 3]
        if pixels:
            given = self._value(last, flags=_INPUT, pixels=True)
            images = self._value(last)
            self._put(xnn.XNNConvert(given, images, 0))
        else:
            given = self._value([1, 3, image_size, image_size], flags=_INPUT)
            images = self._turn(given, _CHANNELS_LAST)
        self._ids[self._graph.input] = images

    def end(self, *, unit: bool) -> None:
        """Let the graph's output leave, and its length if it is divided by it."""
        raw = self._ids[self._graph.output]
        shape = self._shapes[raw]
        if not unit:
            self._put(xnn.XNNCopy(raw, self._value(shape, flags=_OUTPUT), 0))
            return
        out, length = (self._value(side, flags=_OUTPUT) for side in (shape, [1, 1]))
        square, total = self._value(shape), self._value([1, 1])
        self._put(xnn.XNNSquare(raw, square, 0))
        # XNNPACK's sums are means; a product with ones is a sum.
        ones = self._weight(np.ones(shape))
        self._put(xnn.XNNFullyConnected(square, ones, _NONE, total, 0))
        self._put(xnn.XNNSquareRoot(total, length, 0))
        divisor = self._value([1, 1])
        self._put(xnn.XNNMaximum(length, self._weight(np.full(1, _LEAST_LENGTH)), divisor, 0))
        self._put(xnn.XNNDiv(raw, divisor, out, 0))

    def write(self, node: Node) -> None:
        """Append the node."""
        source, *others = (self._ids[name] for name in node.inputs)
        shape = self._shapes[source]
        match node.operation:
            case Conv() as conv:
                made = self._convolve(source, conv)
            case Linear(weight, bias):
                made = self._value([1, len(bias)])
                filters, shift = self._weight(weight), self._weight(bias)
                self._put(xnn.XNNFullyConnected(source, filters, shift, made, 0))
            case Affine(scale, shift) if len(shape) == 4:
                weight = scale.reshape(-1, 1, 1, 1)
                made = self._convolve(source, Conv(weight, shift, groups=len(scale)))
            case Affine(scale, shift):
                scaled, made = self._value(shape), self._value(shape)
                self._put(xnn.XNNMultiply(source, self._weight(scale), scaled, 0))
                self._put(xnn.XNNAdd(scaled, self._weight(shift), made, 0))
            case PRelu(slope):
                made = self._value(shape)
                self._put(xnn.XNNPReLU(source, self._weight(slope), made, 0))
            case Relu(most):
                made = self._value(shape)
                bounds = xnn.OutputMinMax(0.0, "+inf" if most is None else most)
                self._put(xnn.XNNClamp(source, made, 0), bounds)
            case Add():
                made = self._value(shape)
                self._put(xnn.XNNAdd(source, others[0], made, 0))
            case Concat():
                made = self._join([source, *others])
            case Pool() as pool:
                made = self._pool(source, pool)
            case Flatten():
                first = self._turn(source, _CHANNELS_FIRST) if max(shape[1:3]) > 1 else source
                row = [1, int(np.prod(shape))]
                made = self._value(row)
                self._put(xnn.XNNStaticReshape(len(row), row, first, made, 0))
        self._ids[node.output] = made

    def _convolve(self, source: int, conv: Conv) -> int:
        before, after = conv.pads
        sides = [
            (side + before + after - conv.kernel) // conv.stride + 1
            for side in self._shapes[source][1:3]
        ]
        made = self._value([1, *sides, len(conv.weight)])
        # Filters are (O, K, K, C / groups), depthwise ones (1, K, K, C).
        axes = (1, 2, 3, 0) if conv.depthwise else (0, 2, 3, 1)
        kind = xnn.XNNDepthwiseConv2d if conv.depthwise else xnn.XNNConv2d
        node = kind(
            padding_top=before,
            padding_right=after,
            padding_bottom=after,
            padding_left=before,
            kernel_height=conv.kernel,
            kernel_width=conv.kernel,
            subsampling_height=conv.stride,
            subsampling_width=conv.stride,
            dilation_height=1,
            dilation_width=1,
            group_input_channels=conv.weight.shape[1],
            group_output_channels=len(conv.weight) // conv.groups,
            groups=conv.groups,
            adjustment_height=0,
            adjustment_width=0,
            input1_id=source,
            filter_id=self._weight(conv.weight.transpose(axes)),
            bias_id=self._weight(conv.bias),
            output_id=made,
            flags=0,
        )
        self._put(node)
        return made

    def _pool(self, source: int, pool: Pool) -> int:
        _, *sides, channels = self._shapes[source]
        sides = [(side + 2 * pool.pad - pool.kernel) // pool.stride + 1 for side in sides]
        made = self._value([1, *sides, channels])
        kind = xnn.XNNAvgPooling2d if pool.average else xnn.XNNMaxPooling2d
        node = kind(
            padding_top=pool.pad,
            padding_right=pool.pad,
            padding_bottom=pool.pad,
            padding_left=pool.pad,
            pooling_height=pool.kernel,
            pooling_width=pool.kernel,
            stride_height=pool.stride,
            stride_width=pool.stride,
            dilation_height=1,
            dilation_width=1,
            input_id=source,
            output_id=made,
            flags=_KEEP_DIMS if pool.average else 0,
        )
        self._put(node)
        return made

    def _join(self, sources: Sequence[int]) -> int:
        """Put maps one behind the other, a few at a time."""
        while len(sources) > 1:
            part, rest = sources[:_MOST_JOINED], sources[_MOST_JOINED:]
            *outer, _ = self._shapes[part[0]]
            made = self._value([*outer, sum(self._shapes[source][-1] for source in part)])
            kind = getattr(xnn, f"XNNConcatenate{len(part)}")
            names = [f"input{number + 1}_id" for number in range(_MOST_JOINED)]
            ids = [*part, *[_NONE] * (_MOST_JOINED - len(part))]
            given = dict(zip(names, ids, strict=True))
            self._put(kind(axis=len(outer), output_id=made, flags=0, **given))
            sources = [made, *rest]
        return sources[0]

    def _turn(self, source: int, axes: list[int]) -> int:
        """Put the axes in this order."""
        shape = self._shapes[source]
        made = self._value([shape[axis] for axis in axes])
        self._put(xnn.XNNStaticTranspose(len(axes), axes, source, made, 0))
        return made

    def _weight(self, numbers: npt.NDArray[np.float64]) -> int:
        """A value that the file holds, rounded to float32."""
        content = np.ascontiguousarray(numbers, np.float32).tobytes()
        name = hashlib.sha256(content).hexdigest()[:_NAME]  # equal weights are kept once
        self.weights.add_named_data(name, content, alignment=CONSTANT_TENSOR_ALIGNMENT)
        self.offsets.append(xnn.ConstantDataOffset(_APART, len(content), name))
        return self._value(list(numbers.shape), place=len(self.offsets) - 1)

    def _value(
        self, shape: list[int], *, flags: int = 0, place: int = 0, pixels: bool = False
    ) -> int:
        """A new value: from outside or for it by `flags`, a weight by its `place` in the file."""
        number = len(self.values)
        external = _NONE
        if flags:
            external = self.externals
            self.externals += 1
        kinds = xnn.XNNDatatype
        tensor = xnn.XNNTensorValue(
            datatype=kinds.xnn_datatype_quint8 if pixels else kinds.xnn_datatype_fp32,
            num_dims=len(shape),
            dims=shape,
            constant_buffer_idx=place,
            external_id=external,
            flags=flags,
            id_out=number,
        )
        value = xnn.XNNQuantizedTensorValue(tensor, xnn.PerTensorQuant(1.0, 0))
        self.values.append(xnn.XValue(value if pixels else tensor))
        self._shapes[number] = shape
        return number

    def _put(self, operation: object, bounds: xnn.OutputMinMax | None = None) -> None:
        self.nodes.append(xnn.XNode(operation, debug_handle=0, output_min_max=bounds))
