"""Where 8 bits begin: what stands before computes in float, in the runtime's fast layout.

A product is cheaper in 8 bits, and a number that is written is dearer: it is rounded to its grid,
and neither a sum nor the second half of a PReLU is fused into what stands before. So wide maps of
few channels, early in a network, are faster in float, and late ones, with most of the weights, in 8
bits. Which way a network is faster is told by what each of its operations costs, as it was
measured once: the choice depends on no clock, and equal networks have equal borders.
"""

from dataclasses import dataclass

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
from pocketface.errors import RecipeError

AUTO, START = "auto", "start"
"""Words for the border that costs least, and for 8 bits from the first layer on."""

_ABOUT = 1.01
"""Costs are equal within this factor: of equal places the first has the smallest file."""


@dataclass(frozen=True)
class Cost:
    """Nanoseconds of an operation: for each product, each number written, and each call."""

    product: float
    written: float
    call: float


FLOAT = {
    "dense": Cost(0.022, 0.06, 5500),
    "depthwise": Cost(0.040, 0.05, 4000),
    "factor": Cost(0.0, 0.21, 2000),
    "sum": Cost(0.0, 0.0, 0),
    "concat": Cost(0.0, 0.23, 2500),
    "pool": Cost(0.0, 0.61, 1000),
}
INT8 = {
    "dense": Cost(0.010, 0.16, 7500),
    "depthwise": Cost(0.063, 0.20, 6000),
    "factor": Cost(0.0, 0.30, 7000),
    "sum": Cost(0.0, 0.17, 3300),
    "concat": Cost(0.0, 0.12, 1300),
    "pool": Cost(0.0, 0.46, 1000),
}
"""Least squares over the operations of PocketNetS-128, PocketNetM-128 and a MobileFaceNet, in
onnxruntime 1.31 on one thread of an EPYC 7003 (AVX2), with errors of 4 to 20 percent. With
avx512_vnni both columns were seen to shrink alike."""

CROSSING = Cost(0.0, 0.7, 8000)
"""Of a map that is made in float and taken in 8 bits: reordered, rounded, turned."""


def find_border(graph: Graph, wanted: str, image_size: int) -> int:
    """The place among the nodes of `graph`, which is folded, from which on they are in 8 bits.

    `wanted` is 'auto', 'start', or the name of a module of the network, with which it begins.
    Raises RecipeError for a name that is none.
    """
    if wanted == START:
        return 0
    if wanted == AUTO:
        return _cheapest(graph, image_size)
    layers = [graph.layers[node.output] for node in graph.nodes]
    for place, layer in enumerate(layers):
        if layer and f"{layer}.".startswith(f"{wanted}."):
            return place
    parts = dict.fromkeys(".".join(layer.split(".")[:2]) for layer in layers if layer)
    raise RecipeError(
        f"'{wanted}' is no module of this network that 8 bits can begin with. Give '{AUTO}', "
        f"'{START}', or one of its modules: {', '.join(parts)}, or one within them."
    )


def _cheapest(graph: Graph, image_size: int) -> int:
    """The first place of a module with about the least cost."""
    sides = _sides(graph, image_size)
    joined = _joined(graph)
    last = {name: place for place, node in enumerate(graph.nodes) for name in node.inputs}
    late = [
        0.0 if node.output in joined else _cost(graph, node, sides, INT8) for node in graph.nodes
    ]
    now = sum(late)
    costs = {0: now}
    for place in range(1, len(graph.nodes)):
        before, node = graph.nodes[place - 1 : place + 1]
        now += _cost(graph, before, sides, FLOAT) - late[place - 1]
        if graph.layers[node.output] in ("", graph.layers[before.output]):
            continue  # no module of the network begins here
        crossing = [n.output for n in graph.nodes[:place] if last[n.output] >= place]
        costs[place] = now + sum(
            CROSSING.call + CROSSING.written * _numbers(graph, name, sides) for name in crossing
        )
    least = min(costs.values())
    return next(place for place, cost in costs.items() if cost <= _ABOUT * least)


def _joined(graph: Graph) -> set[str]:
    """Sums that become part of a convolution in 8 bits: what that saves, it costs in moving."""
    producers = graph.producers()

    def dense(name: str) -> bool:
        made = producers[name].operation if name in producers else None
        return isinstance(made, Conv) and made.groups == made.kernel == made.stride == 1

    return {
        node.output
        for node in graph.nodes
        if isinstance(node.operation, Add) and all(dense(name) for name in node.inputs)
    }


def _cost(graph: Graph, node: Node, sides: dict[str, int], costs: dict[str, Cost]) -> float:
    """Nanoseconds of a node for one image."""
    written = _numbers(graph, node.output, sides)

    def of(kind: str, products: int = 0) -> float:
        cost = costs[kind]
        return cost.product * products + cost.written * written + cost.call

    match node.operation:
        case Conv() as conv if conv.depthwise:
            return of("depthwise", written * conv.kernel**2) if conv.kernel > 1 else of("factor")
        case Conv() | Linear() as dense:
            return of("dense", written * dense.weight[0].size)
        case PRelu():
            return 2 * of("factor") if costs is FLOAT else of("factor") + of("sum")
        case Affine():
            return of("factor")
        case Add():
            return of("sum")
        case Concat():
            return of("concat")
        case Pool():
            return of("pool")
        case Relu() | Flatten():
            return 0.0


def _numbers(graph: Graph, name: str, sides: dict[str, int]) -> int:
    return graph.channels[name] * sides[name] ** 2


def _sides(graph: Graph, image_size: int) -> dict[str, int]:
    """Pixels along a side of each map; 1 for rows."""
    sides = {graph.input: image_size}
    for node in graph.nodes:
        side = sides[node.inputs[0]]
        match node.operation:
            case Conv() as conv:
                side = (side + sum(conv.pads) - conv.kernel) // conv.stride + 1
            case Pool(_, kernel, stride, pad):
                side = (side + 2 * pad - kernel) // stride + 1
            case Flatten() | Linear():
                side = 1
        sides[node.output] = side
    return sides
