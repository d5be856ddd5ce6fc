"""PReLU in operations that a runtime keeps in its fast layout.

onnxruntime computes convolutions on maps whose channels lie in blocks, and a PReLU node makes it
put every map back in plain order and again into blocks: two thirds of a PocketNet's time. With a
slope a for each channel,

    PReLU(x) = a x + relu((1 - a) x)    where a <= 1,
    PReLU(x) = a x - relu((a - 1) x)    where a > 1,

and both terms are depthwise 1x1 convolutions, into which the runtime fuses the relu and the sum:
two passes over the map in its blocked order. Sharing relu(x) between the consumers of a map, with
its factor in their weights, was measured and is slower: more is multiplied than is saved.
"""

from collections.abc import Collection

import numpy as np

from pocketface.deploy.graph import Add, Conv, Floats, Graph, Node, PRelu, Relu


def split_prelus(graph: Graph, among: Collection[str] | None = None) -> None:
    """Replace each PReLU on maps, in place; with `among` only those that give its values."""

    def change(node: Node) -> list[Node] | None:
        if not isinstance(node.operation, PRelu) or not (among is None or node.output in among):
            return None
        slope, source = node.operation.slope, node.inputs[0]
        steep = slope > 1
        bent = graph.node(_scale(np.abs(1 - slope)), source)
        positive = graph.node(Relu(), bent.output)
        straight = graph.node(_scale(slope), source)
        nodes = [straight, bent, positive]
        if steep.any():
            nodes.append(graph.node(_scale(np.where(steep, -1.0, 1.0)), positive.output))
        return [*nodes, graph.node(Add(), straight.output, nodes[-1].output, output=node.output)]

    graph.rewrite(change)


def _scale(scale: Floats) -> Conv:
    """A factor for each channel, as a depthwise 1x1 convolution."""
    channels = len(scale)
    return Conv(scale.reshape(channels, 1, 1, 1), np.zeros(channels), groups=channels)
