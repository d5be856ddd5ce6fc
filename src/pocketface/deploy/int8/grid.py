"""The 8-bit grids that numbers are rounded to.

A map's numbers become uint8 with one scale and one zero point; each output channel's weights
become int8 with a scale of its own and zero at 0. That is what processors with 8-bit dot products
multiply.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.deploy.graph import Conv, Floats, Graph, Linear, Node, PRelu, Relu

LEVELS = 255
"""Steps between the least and the largest uint8."""

_TINY = 1e-8
"""Least range of a map: one that is zero on all faces has a scale, too."""


@dataclass(frozen=True)
class Grid:
    """The numbers `scale` (q - `zero`) for q = 0 to 255."""

    scale: float
    zero: int

    @property
    def least(self) -> float:
        """The smallest number on the grid."""
        return -self.scale * self.zero

    @property
    def most(self) -> float:
        """The largest."""
        return self.scale * (LEVELS - self.zero)


def grid_over(least: float, most: float) -> Grid:
    """The grid from `least` to `most`, stretched to hold zero exactly: padding is made of it."""
    least, most = min(least, 0.0), max(most, 0.0)
    # Rounded to float32 here, so that what is tried is what the file holds.
    scale = float(np.float32(max(most - least, _TINY) / LEVELS))
    return Grid(scale, int(np.clip(round(-least / scale), 0, LEVELS)))


def weight_scales(operation: Conv | Linear, weight: Floats) -> npt.NDArray[np.float32]:
    """The scale of each output channel (O,) of `weight`, which `operation` multiplies by.

    Factors (a depthwise 1x1, such as the slopes of a PReLU) have one scale together: a scale of
    four bytes for each number of one would weigh more than the numbers.

    It takes the largest weight to 127, or to less where dense products could overflow: x86
    processors without 8-bit dot products add two neighbouring products in 16 bits, and what does
    not fit there is cut off unseen. Beside the greatest uint8, 255, two weights of one sign fit as
    long as they add up to no more than 128.
    """
    flat = weight.reshape(len(weight), -1)
    largest = np.abs(flat).max(axis=1)
    if are_factors(operation):
        largest = np.full_like(largest, largest.max())
    elif isinstance(operation, Linear) or operation.kernel == 1:
        pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2))).reshape(len(flat), -1, 2)
        for sign in (1, -1):
            largest = np.maximum(largest, np.maximum(sign * pairs, 0).sum(axis=2).max(axis=1))
    elif not operation.depthwise:
        largest = 2 * largest  # which weights are neighbours is the runtime's affair
    scales: npt.NDArray[np.float32] = (np.maximum(largest, _TINY) / 127).astype(np.float32)
    return scales


def are_factors(operation: Conv | Linear) -> bool:
    """Whether each channel is multiplied by one number."""
    return isinstance(operation, Conv) and operation.depthwise and operation.kernel == 1


def round_weights(
    operation: Conv | Linear, weight: Floats
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights (O, ...) as int8 and the scales (O,) that give them back."""
    scales = weight_scales(operation, weight)
    steps = weight / scales.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), scales


@dataclass(frozen=True)
class Plan:
    """What of a graph is in 8 bits.

    Attributes:
        grids: of each value that is rounded.
        exact: the outputs of the nodes that compute in float; where they follow each other, the
            values between them are not rounded.
        early: those of them before the border with which 8 bits begin.
    """

    grids: Mapping[str, Grid]
    exact: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()


class Rounding:
    """Which values of a graph are rounded for whom.

    Attributes:
        fused: values that an activation alone takes from a layer with weights: the two are one
            operation in the runtime, and nothing is rounded between them.
    """

    def __init__(self, graph: Graph) -> None:
        takers = graph.consumers()
        self._producers = graph.producers()
        self.fused = {
            node.output
            for node in graph.nodes
            if has_weights(node)
            and [type(taker.operation) in (Relu, PRelu) for taker in takers[node.output]] == [True]
        }

    def of(self, name: str, taker: Node, plan: Plan) -> Grid | None:
        """The grid on which `taker` finds the value `name`; None if it finds it unrounded."""
        if name in self.fused:
            return None
        # The images come in float, as from a node that computes in float.
        if taker.output in plan.exact and (
            name not in self._producers or self._producers[name].output in plan.exact
        ):
            return None
        return plan.grids.get(name)


def has_weights(node: Node) -> bool:
    """Whether the node multiplies by weights: what can be a sensitive layer."""
    return isinstance(node.operation, Conv | Linear)
