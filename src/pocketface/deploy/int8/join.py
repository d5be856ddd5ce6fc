"""The sum of two pointwise convolutions as one over both their inputs.

    W x + V y + b + c = [W V] [x; y] + (b + c)

In 8 bits a sum is an operation of its own, and rounds its two terms and what it gives; inside a
dense convolution it is neither. In float it is fused already.
"""

from collections.abc import Collection

import numpy as np

from pocketface.deploy.graph import Add, Concat, Conv, Graph, Node


def join_sums(graph: Graph, early: Collection[str] = ()) -> None:
    """Join what can be joined in place, but for the sums among `early`."""
    while _join(graph, early):
        graph.prune()


def _join(graph: Graph, early: Collection[str]) -> bool:
    """Join the sums whose terms are convolutions by now; whether there were any."""
    producers, takers = graph.producers(), graph.consumers()
    joined = False

    def term(name: str) -> Node | None:
        node = producers.get(name)
        if node is None or len(takers[name]) > 1 or name in early:
            return None
        match node.operation:
            case Conv(pads=(0, 0), stride=1, groups=1) as conv if conv.kernel == 1:
                return node
        return None

    def change(node: Node) -> list[Node] | None:
        if not isinstance(node.operation, Add) or node.output in early:
            return None
        one, other = (term(name) for name in node.inputs)
        if one is None or other is None or one is other:
            return None
        first, second = one.operation, other.operation
        assert isinstance(first, Conv)
        assert isinstance(second, Conv)
        parts = [name for made in (one, other) for name in parts_of(made.inputs[0])]
        both = graph.node(Concat(), *parts)
        weight = np.concatenate([first.weight, second.weight], axis=1)
        conv = Conv(weight, first.bias + second.bias)
        graph.layers[node.output] = graph.layers[one.output]
        nonlocal joined
        joined = True
        return [both, Node(conv, (both.output,), node.output)]

    def parts_of(name: str) -> tuple[str, ...]:
        """What was joined before is joined once, not again."""
        node = producers.get(name)
        if node is None or not isinstance(node.operation, Concat) or len(takers[name]) > 1:
            return (name,)
        return node.inputs

    graph.rewrite(change)
    return joined
