"""The layers that lose most in 8 bits, found by measurement and left in float."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.grid import Plan, Rounding, has_weights
from pocketface.deploy.int8.network import GraphNetwork

MOST_FLOAT = 0.1
"""Largest share of the layers that may be left in float: each costs time and bytes."""


def mean_cosine(network: GraphNetwork, images: Tensor, wanted: Tensor, batch: int = 16) -> float:
    """Mean cosine similarity of the embeddings of `images` (N, 3, S, S) to `wanted` (N, D)."""
    with torch.no_grad():
        found = torch.cat([network(part) for part in torch.split(images, batch)])
    return float(torch.cosine_similarity(found.double(), wanted.double()).mean())


def leave_first_in_float(graph: Graph, plan: Plan) -> Plan:
    """`plan` with what takes the images in float: they are not rounded twice."""
    first = {node.output for node in graph.nodes if graph.input in node.inputs}
    fused = Rounding(graph).fused & first
    first |= {node.output for node in graph.nodes if fused.intersection(node.inputs)}
    grids = {name: grid for name, grid in plan.grids.items() if name != graph.input}
    return replace(plan, grids=grids, exact=plan.exact | first)


def leave_sensitive_in_float(
    graph: Graph,
    plan: Plan,
    images: Tensor,
    wanted: Tensor,
    aim: float,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Plan:
    """`plan` with as few layers in float as bring the mean cosine to `aim`.

    A layer is a module of the network, such as a separable convolution. Each is left in float by
    itself, and they are ranked by what that gains on `images` (N, 3, S, S), whose embeddings are
    `wanted` (N, D). Then the first 1, 2, 4 and so on are left in float together until the whole
    reaches `aim`, or a tenth of the layers (`MOST_FLOAT`) is in float; of these trials the best is
    taken.
    """
    network = GraphNetwork(graph, plan).eval()

    def tried(layers: Sequence[str]) -> tuple[float, Plan]:
        names = {node.output for node in graph.nodes if graph.layers[node.output] in layers}
        network.plan = replace(plan, exact=plan.exact | names)
        return mean_cosine(network, images, wanted), network.plan

    reached, best = tried([])
    layers = _layers(graph, plan, in_float=False)
    most = int(MOST_FLOAT * len(layers))
    if reached >= aim or most < 1:
        return plan
    gains = []
    for index, layer in enumerate(layers):
        gains.append(tried([layer])[0])
        progress(index + 1, len(layers))
    ranked = [layers[index] for index in np.argsort(gains)[::-1]]
    count = 1
    while reached < aim and count <= most:
        cosine, candidate = tried(ranked[:count])
        if cosine > reached:
            reached, best = cosine, candidate
        count = most if count < most < 2 * count else 2 * count
    return best


def float_layers(graph: Graph, plan: Plan) -> list[str]:
    """The network's own names of the layers with weights that are in float behind the border."""
    return _layers(graph, plan, in_float=True)


def first_layer(graph: Graph, plan: Plan) -> str:
    """The network's own name of the layer with which 8 bits begin; '' if it is the first."""
    late = [graph.layers[node.output] for node in graph.nodes if node.output not in plan.early]
    return late[0] if plan.early else ""


def _layers(graph: Graph, plan: Plan, *, in_float: bool) -> list[str]:
    late = [node for node in graph.nodes if node.output not in plan.early]
    weighted = [node.output for node in late if has_weights(node)]
    found = [graph.layers[name] for name in weighted if (name in plan.exact) == in_float]
    return list(dict.fromkeys(found))
