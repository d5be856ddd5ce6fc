"""A folded graph in the operations that runtimes compute in 8 bits.

PReLU has no 8-bit kernel in onnxruntime. With a slope a for each channel

    PReLU(x) = x + relu((a - 1) x)     where a <= 1,
    PReLU(x) = x - relu((1 - a) x)     where a > 1,

for both signs of x: one depthwise 1x1 convolution, whose relu is the end of its grid, and one sum.
"""

import numpy as np

from pocketface.deploy.activation import split_prelus
from pocketface.deploy.graph import (
    Add,
    Affine,
    Conv,
    Flatten,
    Floats,
    Graph,
    Linear,
    Node,
    PRelu,
    Relu,
)
from pocketface.deploy.int8.join import join_sums


def prepare(graph: Graph, border: int = 0) -> frozenset[str]:
    """Rewrite `graph`, which is folded, in place; gives the values made in float.

    Those are what the first `border` nodes give, now in the operations that are fast in float.
    """
    early = {node.output for node in graph.nodes[:border]}
    known = {node.output for node in graph.nodes}
    split_prelus(graph, early)
    early |= {node.output for node in graph.nodes} - known
    join_sums(graph, early)
    bend_prelus(graph)
    _affine_as_conv(graph)
    _end_with_linear(graph)
    return frozenset(early)


def bend_prelus(graph: Graph) -> None:
    """Replace each PReLU, in place."""

    def change(node: Node) -> list[Node] | None:
        if not isinstance(node.operation, PRelu):
            return None
        slope, source = node.operation.slope, node.inputs[0]
        # One sign for each channel: where a < 1 the bend adds on the negative side, else it takes
        # away there.
        bend = graph.node(_scale(-np.abs(1 - slope)), source)
        side = graph.node(Relu(), bend.output)
        nodes = [bend, side]
        if (slope > 1).any():
            nodes.append(graph.node(_scale(np.where(slope > 1, -1.0, 1.0)), side.output))
        return [*nodes, graph.node(Add(), source, nodes[-1].output, output=node.output)]

    graph.rewrite(change)


def _affine_as_conv(graph: Graph) -> None:
    """A batch norm behind a pool is a depthwise 1x1 convolution, which has an 8-bit kernel."""
    maps = {graph.input}
    for node in graph.nodes:
        if not isinstance(node.operation, Flatten | Linear) and node.inputs[0] in maps:
            maps.add(node.output)

    def change(node: Node) -> list[Node] | None:
        match node.operation:
            case Affine(scale, shift) if node.inputs[0] in maps:
                channels = len(scale)
                weight = scale.reshape(channels, 1, 1, 1)
                return [Node(Conv(weight, shift, groups=channels), node.inputs, node.output)]
        return None

    graph.rewrite(change)


def _end_with_linear(graph: Graph) -> None:
    """A last dense convolution of one pixel is a matrix product, which gives float numbers."""
    producers, consumers = graph.producers(), graph.consumers()
    flat = producers[graph.output]
    last = producers.get(flat.inputs[0])
    if not isinstance(flat.operation, Flatten) or last is None:
        return
    conv = last.operation
    if not isinstance(conv, Conv) or conv.groups > 1 or conv.kernel > 1 or conv.stride > 1:
        return
    if len(consumers[last.output]) > 1:
        return
    early = graph.node(Flatten(), *last.inputs)
    product = graph.node(
        Linear(conv.weight[:, :, 0, 0], conv.bias), early.output, output=graph.output
    )
    graph.layers[product.output] = graph.layers[last.output]
    graph.nodes = [n for n in graph.nodes if n not in (flat, last)] + [early, product]


def _scale(scale: Floats) -> Conv:
    channels = len(scale)
    return Conv(scale.reshape(channels, 1, 1, 1), np.zeros(channels), groups=channels)
