"""A network as a list of plain operations: what can be rewritten exactly, and written as ONNX.

Weights are float64 while a graph is rewritten, so that folding loses nothing; they are rounded to
float32 once, where the graph is written.

Shapes: N images, C channels, O output channels, H and W pixels, D numbers of an embedding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with bias: (N, C, H, W) to (N, O, H', W').

    Attributes:
        weight: float64 (O, C / groups, K, K).
        bias: float64 (O,).
        stride: of both axes.
        pads: pixels of zeros before (top and left) and after (bottom and right).
        groups: C where it is depthwise.
    """

    weight: Floats
    bias: Floats
    stride: int = 1
    pads: tuple[int, int] = (0, 0)
    groups: int = 1

    @property
    def kernel(self) -> int:
        """K."""
        return int(self.weight.shape[-1])

    @property
    def depthwise(self) -> bool:
        """Whether each channel is filtered by itself, and there is one output for each."""
        return self.groups == len(self.weight) and self.weight.shape[1] == 1

    def scale_output(self, scale: Floats, shift: Floats) -> "Conv":
        """The same convolution with `scale` (O,) times its output, plus `shift` (O,)."""
        return Conv(
            self.weight * scale[:, None, None, None],
            self.bias * scale + shift,
            self.stride,
            self.pads,
            self.groups,
        )

    def scale_input(self, scale: Floats, *, bias: bool = True) -> "Conv":
        """The convolution of `scale` (C,) times its input; without `bias` that is zero."""
        if self.groups == 1:
            weight = self.weight * scale[None, :, None, None]
        elif self.depthwise:
            weight = self.weight * scale[:, None, None, None]
        else:
            raise ValueError("only dense and depthwise convolutions are known")
        kept = self.bias if bias else np.zeros_like(self.bias)
        return Conv(weight, kept, self.stride, self.pads, self.groups)


@dataclass(frozen=True, eq=False)
class Linear:
    """A matrix product with bias: (N, C) to (N, O). `weight` float64 (O, C), `bias` (O,)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, eq=False)
class Affine:
    """`scale` (C,) times the input plus `shift` (C,), on (N, C, H, W) or (N, C)."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True, eq=False)
class PRelu:
    """The input where it is positive, else `slope` (C,) times it."""

    slope: Floats


@dataclass(frozen=True)
class Relu:
    """The input where it is positive, at most `most`, else zero."""

    most: float | None = None


@dataclass(frozen=True)
class Add:
    """The sum of two maps."""


@dataclass(frozen=True)
class Concat:
    """Maps one behind the other along the channels."""


@dataclass(frozen=True)
class Pool:
    """A pool over `kernel` x `kernel` pixels; an average leaves the padding out."""

    average: bool
    kernel: int
    stride: int
    pad: int


@dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) to (N, C H W)."""


Operation = Conv | Linear | Affine | PRelu | Relu | Add | Concat | Pool | Flatten


@dataclass(frozen=True, eq=False)
class Node:
    """An operation on the values `inputs`, which gives the value `output`."""

    operation: Operation
    inputs: tuple[str, ...]
    output: str


@dataclass
class Graph:
    """Operations in an order in which each finds its inputs ready.

    Attributes:
        input: name of the images, (N, 3, S, S).
        nodes: the operations.
        output: name of the embeddings, (N, D).
        channels: of the value of each name.
        layers: the network's module that each value came from, by its name there; what a
            rewriting puts in a node's place counts as that node's.
        layer: the module of the values that are added now.
    """

    input: str
    nodes: list[Node] = field(default_factory=list)
    output: str = ""
    channels: dict[str, int] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    layer: str = ""
    _made: int = 0

    def name(self) -> str:
        """A new name for a value."""
        self._made += 1
        return f"v{self._made}"

    def add(self, operation: Operation, *inputs: str) -> str:
        """Append an operation; gives the name of its value."""
        node = self.node(operation, *inputs)
        self.nodes.append(node)
        return node.output

    def node(self, operation: Operation, *inputs: str, output: str | None = None) -> Node:
        """A node that stands nowhere yet, with a new name for its value unless one is given."""
        name = output or self.name()
        self.channels[name] = self._channels(operation, inputs)
        self.layers.setdefault(name, self.layer)
        return Node(operation, inputs, name)

    def producers(self) -> dict[str, Node]:
        """The node that gives each value."""
        return {node.output: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that take each value, in order; the graph's own output is taken by none."""
        found: dict[str, list[Node]] = {self.input: []}
        for node in self.nodes:
            found[node.output] = []
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found

    def rewrite(self, change: Callable[[Node], Sequence[Node] | None]) -> None:
        """Put in the place of each node what `change` gives for it; None leaves it."""
        self.nodes = [new for node in self.nodes for new in self._changed(node, change)]

    def rename(self, old: str, new: str) -> None:
        """Let whoever takes `old` take `new`."""
        if self.output == old:
            self.output = new
        self.nodes = [
            Node(
                node.operation,
                tuple(new if name == old else name for name in node.inputs),
                node.output,
            )
            for node in self.nodes
        ]

    def prune(self) -> None:
        """Leave out what nobody takes."""
        wanted = {self.output}
        kept = []
        for node in reversed(self.nodes):
            if node.output in wanted:
                wanted.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]

    def _changed(
        self, node: Node, change: Callable[[Node], Sequence[Node] | None]
    ) -> Iterator[Node]:
        self.layer = self.layers[node.output]
        new = change(node)
        yield from (node,) if new is None else new

    def _channels(self, operation: Operation, inputs: tuple[str, ...]) -> int:
        match operation:
            case Conv() | Linear():
                return len(operation.weight)
            case Concat():
                return sum(self.channels[name] for name in inputs)
            case _:
                return self.channels[inputs[0]]
