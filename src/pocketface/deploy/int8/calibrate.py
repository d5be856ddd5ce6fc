"""Ranges of a network's maps from faces that it is shown: the grid of each value."""

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pocketface.deploy.graph import Concat, Flatten, Graph, Pool
from pocketface.deploy.int8.grid import Grid, Rounding, grid_over
from pocketface.deploy.int8.network import GraphNetwork

Method = Literal["minmax", "percentile", "mse"]

_BINS = 2048
_SHARE = 0.9999
"""Of a map's numbers that 'percentile' keeps inside the grid."""

_SHRINKS = np.linspace(0.3, 1.0, 29)
"""Parts of the whole range that 'mse' tries."""


def find_grids(
    graph: Graph,
    batches: Callable[[], Iterable[Tensor]],
    method: Method,
    *,
    tie_concat: bool = True,
) -> dict[str, Grid]:
    """The grid of each value of `graph` but its embeddings.

    `batches` gives the images float32 (N, 3, S, S), the same ones each time. 'minmax' keeps every
    number inside; 'percentile' all but one in ten thousand; 'mse' takes the range with the least
    mean squared error of rounding. What only moves numbers about (max pools, flattening,
    concatenation) has one grid on both sides, so that it moves bytes.
    """
    network = GraphNetwork(graph).eval()
    ranges: dict[str, tuple[float, float]] = {}

    def widen(name: str, value: Tensor) -> None:
        low, high = ranges.get(name, (0.0, 0.0))
        least, most = (float(v) for v in torch.aminmax(value))
        ranges[name] = min(low, least), max(high, most)

    with torch.no_grad():
        for images in batches():
            network(images, widen)
        if method != "minmax":
            ranges = _narrow(network, batches, ranges, method)
    fused = Rounding(graph).fused
    names = [name for name in ranges if name not in fused and name != graph.output]
    group = _tied(graph, tie_concat)
    joined: dict[str, tuple[float, float]] = {}
    for name in names:
        low, high = joined.get(group(name), (0.0, 0.0))
        joined[group(name)] = min(low, ranges[name][0]), max(high, ranges[name][1])
    return {name: grid_over(*joined[group(name)]) for name in names}


def _narrow(
    network: GraphNetwork,
    batches: Callable[[], Iterable[Tensor]],
    ranges: dict[str, tuple[float, float]],
    method: Method,
) -> dict[str, tuple[float, float]]:
    counts = {name: np.zeros(_BINS) for name in ranges}

    def count(name: str, value: Tensor) -> None:
        low, high = ranges[name]
        if high > low:
            counts[name] += torch.histc(value, _BINS, low, high).numpy()

    for images in batches():
        network(images, count)
    pick = _percentile if method == "percentile" else _least_squares
    return {name: pick(counts[name], *ranges[name]) for name in ranges}


def _percentile(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    edges = np.linspace(low, high, _BINS + 1)
    share = np.cumsum(counts) / max(counts.sum(), 1)
    first = int(np.searchsorted(share, (1 - _SHARE) / 2))
    last = int(np.searchsorted(share, 1 - (1 - _SHARE) / 2))
    return float(edges[first]), float(edges[min(last + 1, _BINS)])


def _least_squares(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    middles = low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS
    best, least = (low, high), np.inf
    for below in _SHRINKS if low < 0 else (1.0,):
        for above in _SHRINKS:
            grid = grid_over(low * below, high * above)
            inside = np.clip(middles, grid.least, grid.most)
            # Rounding inside a bin is not seen: it is a step's variance.
            error = counts @ ((middles - inside) ** 2) + counts.sum() * grid.scale**2 / 12
            if error < least:
                best, least = (low * below, high * above), error
    return best


def _tied(graph: Graph, concat: bool) -> Callable[[str], str]:
    """The name that stands for each value's group of values with one grid."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while name in parent:
            name = parent[name]
        return name

    for node in graph.nodes:
        match node.operation:
            case Concat() if not concat:
                continue
            case Concat() | Flatten() | Pool(average=False):
                for name in node.inputs:
                    if find(name) != find(node.output):
                        parent[find(name)] = find(node.output)
    return find
