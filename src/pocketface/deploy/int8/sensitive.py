"""The layers that lose most in 8 bits, found by measurement and left in float."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pocketface.deploy.graph import Graph, Node
from pocketface.deploy.int8.grid import Plan, Rounding, has_weights
from pocketface.deploy.int8.network import GraphNetwork

MOST_FLOAT = 0.1
"""Largest share of the layers that may be left in float: each costs time and bytes."""


def mean_cosine(network: GraphNetwork, images: Tensor, wanted: Tensor, batch: int = 16) -> float:
    """Mean cosine similarity of the embeddings of `images` (N, 3, S, S) to `wanted` (N, D)."""
    with torch.no_grad():
        found = torch.cat([network(part) for part in images.split(batch)])
    return float(torch.cosine_similarity(found.double(), wanted.double()).mean())


def leave_first_in_float(graph: Graph, plan: Plan) -> Plan:
    """`plan` with what takes the images in float: they are not rounded twice."""
    first = [node for node in graph.nodes if graph.input in node.inputs]
    grids = {name: grid for name, grid in plan.grids.items() if name != graph.input}
    return _in_float(graph, replace(plan, grids=grids), first)


def leave_sensitive_in_float(
    graph: Graph,
    plan: Plan,
    images: Tensor,
    wanted: Tensor,
    aim: float,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Plan:
    """`plan` with as few layers in float as bring the mean cosine to `aim`.

    Each layer is rounded alone, all else in float, and they are ranked by what that loses on
    `images` (N, 3, S, S), whose embeddings are `wanted` (N, D). Then the first 1, 2, 4 and so on
    are left in float until the whole reaches `aim`, or a tenth of the layers (`MOST_FLOAT`) is in
    float; of these trials the best is taken.
    """
    network = GraphNetwork(graph, plan).eval()
    best, reached = plan, mean_cosine(network, images, wanted)
    layers = [n for n in graph.nodes if has_weights(n) and n.output not in plan.exact]
    most = int(MOST_FLOAT * len(layers))
    if reached >= aim or most < 1:
        return plan
    everything = frozenset(node.output for node in graph.nodes)
    losses = []
    for index, layer in enumerate(layers):
        alone = _in_float(graph, Plan({}), [layer]).exact
        network.plan = replace(plan, exact=everything - alone)
        losses.append(1 - mean_cosine(network, images, wanted))
        progress(index + 1, len(layers))
    ranked = [layers[i] for i in np.argsort(losses)[::-1]]
    count = 1
    while reached < aim and count <= most:
        network.plan = tried = _in_float(graph, plan, ranked[:count])
        cosine = mean_cosine(network, images, wanted)
        if cosine > reached:
            best, reached = tried, cosine
        count = most if count < most < 2 * count else 2 * count
    return best


def float_layers(graph: Graph, plan: Plan) -> list[str]:
    """The network's own names of the layers with weights that are in float."""
    found = [n for n in graph.nodes if has_weights(n) and n.output in plan.exact]
    return list(dict.fromkeys(graph.layers[node.output] or node.output for node in found))


def _in_float(graph: Graph, plan: Plan, layers: list[Node]) -> Plan:
    """`plan` with `layers` in float, and the activations that are computed with them."""
    names = {layer.output for layer in layers}
    fused = Rounding(graph).fused & names
    names |= {node.output for node in graph.nodes if fused.intersection(node.inputs)}
    return replace(plan, exact=plan.exact | names)
