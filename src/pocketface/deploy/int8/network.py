"""A graph as a torch module: run in float, or with its numbers rounded as in the 8-bit file."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
from pocketface.deploy.int8.grid import LEVELS, Plan, Rounding, weight_scales

Tap = Callable[[str, Tensor], None]
"""Sees each value: its name, and its numbers."""


class GraphNetwork(nn.Module):
    """What `graph` computes, in float32.

    With a `plan` the values and weights that it names are rounded, and gradients pass through the
    rounding as if it were not there (straight-through; Bengio, Leonard and Courville, 2013), and
    not through numbers beyond the grid.

    Attributes:
        plan: what is rounded; None leaves all in float.
    """

    def __init__(self, graph: Graph, plan: Plan | None = None) -> None:
        super().__init__()
        self.plan = plan
        self._graph = graph
        self._rounding = Rounding(graph)
        self._last = {name: node for node in graph.nodes for name in node.inputs}
        self.weights = nn.ParameterDict()
        for node in graph.nodes:
            for part, numbers in numbers_of(node).items():
                self.weights[f"{node.output}_{part}"] = nn.Parameter(
                    torch.from_numpy(numbers.astype(np.float32))
                )

    def forward(self, images: Tensor, tap: Tap | None = None) -> Tensor:
        """Embeddings (N, D) of images (N, 3, S, S); `tap` sees the values before rounding."""
        values = {self._graph.input: images}
        if tap is not None:
            tap(self._graph.input, images)
        for node in self._graph.nodes:
            inputs = [self._taken(name, node, values[name]) for name in node.inputs]
            made = self._step(node, inputs)
            if tap is not None:
                tap(node.output, made)
            values[node.output] = made
            for name in node.inputs:
                if self._last[name] is node:
                    values.pop(name, None)
        return values[self._graph.output]

    def to_graph(self) -> Graph:
        """The graph with the weights as they are now, not rounded."""
        found = copy.copy(self._graph)
        found.nodes = []
        for node in self._graph.nodes:
            now = {
                part: self.weights[f"{node.output}_{part}"].detach().numpy().astype(np.float64)
                for part in numbers_of(node)
            }
            operation = replace(node.operation, **now) if now else node.operation
            found.nodes.append(Node(operation, node.inputs, node.output))
        return found

    def _taken(self, name: str, node: Node, value: Tensor) -> Tensor:
        """A value as `node` finds it."""
        grid = self._rounding.of(name, node, self.plan) if self.plan else None
        if grid is None:
            return value
        return torch.fake_quantize_per_tensor_affine(value, grid.scale, grid.zero, 0, LEVELS)

    def _step(self, node: Node, inputs: list[Tensor]) -> Tensor:
        x, *rest = inputs
        match node.operation:
            case Conv() as conv:
                before, after = conv.pads
                pad = before
                if before != after:
                    x, pad = F.pad(x, (before, after, before, after)), 0
                weight, bias = self._weight(node), self.weights[f"{node.output}_bias"]
                return F.conv2d(x, weight, bias, conv.stride, pad, groups=conv.groups)
            case Linear():
                return F.linear(x, self._weight(node), self.weights[f"{node.output}_bias"])
            case Affine():
                shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
                scale, shift = (self.weights[f"{node.output}_{p}"] for p in ("scale", "shift"))
                scaled: Tensor = x * scale.view(shape) + shift.view(shape)
                return scaled
            case PRelu():
                return F.prelu(x, self.weights[f"{node.output}_slope"])
            case Relu(most):
                return x.clamp(0, most)
            case Add():
                return x + rest[0]
            case Concat():
                return torch.cat([x, *rest], dim=1)
            case Pool(average, kernel, stride, pad):
                if average:
                    return F.avg_pool2d(x, kernel, stride, pad, count_include_pad=False)
                return F.max_pool2d(x, kernel, stride, pad)
            case Flatten():
                return x.flatten(1)

    def _weight(self, node: Node) -> Tensor:
        weight: Tensor = self.weights[f"{node.output}_weight"]
        if self.plan is None or node.output in self.plan.exact:
            return weight
        assert isinstance(node.operation, Conv | Linear)
        scales = torch.from_numpy(weight_scales(node.operation, weight.detach().numpy()))
        zeros = torch.zeros(len(weight), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)


def numbers_of(node: Node) -> dict[str, npt.NDArray[Any]]:
    """The arrays of numbers in a node, by name."""
    return {k: v for k, v in vars(node.operation).items() if isinstance(v, np.ndarray)}
