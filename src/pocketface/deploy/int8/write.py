"""A graph and its plan as an ONNX model with QuantizeLinear and DequantizeLinear (QDQ)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from pocketface.deploy.graph import Conv, Floats, Graph, Linear, Node, Relu
from pocketface.deploy.int8.grid import (
    Grid,
    Plan,
    Rounding,
    are_factors,
    has_weights,
    round_weights,
)
from pocketface.deploy.write import Writer

_MANY = 32
"""Numbers that are worth a node which widens them."""


class Int8Writer(Writer):
    """Nodes between rounded values, weights as int8.

    A scale or a zero point that was written once is named again wherever it is the same. Biases of
    convolutions are float32: onnxruntime brings them to the int32 of its sums when it loads the
    file, and steps for each of them would take as many bytes again.
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        super().__init__(graph)
        self._plan = plan
        self._rounding = Rounding(graph)
        self._takers = graph.consumers()
        self._rounded: dict[str, str] = {}
        self._shared: dict[tuple[str, bytes], str] = {}
        self._node: Node

    def write(self, node: Node) -> None:
        """Append the node, before it what rounds its inputs."""
        self._node = node
        if self._is_end_of_grid(node):
            # The grid begins at zero and ends at most at the bound: rounding does this.
            self._names[node.output] = self._short(node.inputs[0])
        else:
            super().write(node)

    def _is_end_of_grid(self, node: Node) -> bool:
        if not isinstance(node.operation, Relu) or node.output in self._plan.exact:
            return False
        grid, most = self._plan.grids.get(node.output), node.operation.most
        return (
            grid is not None
            and node.inputs[0] in self._rounding.fused
            and grid.zero == 0
            and (most is None or grid.most <= most * (1 + 1e-6))
        )

    def _put(self, node: Node, kind: str, weights: Sequence[Floats], **options: Any) -> None:
        names = [self._found(name, node) for name in node.inputs]
        if has_weights(node) and node.output not in self._plan.exact:
            names += self._write_layer(node, *weights)
        else:
            names += [self._keep_half(weight.astype(np.float32)) for weight in weights]
        self.nodes.append(helper.make_node(kind, names, [self._short(node.output)], **options))

    def _found(self, name: str, node: Node) -> str:
        """The name under which `node` finds the value."""
        grid = self._rounding.of(name, node, self._plan)
        if grid is None:
            return self._short(name)
        if name not in self._rounded:
            scale, zero = self._grid(grid)
            small, wide = self._new(), self._new()
            self.nodes += [
                helper.make_node("QuantizeLinear", [self._short(name), scale, zero], [small]),
                helper.make_node("DequantizeLinear", [small, scale, zero], [wide]),
            ]
            self._rounded[name] = wide
        return self._rounded[name]

    def _write_layer(self, node: Node, weight: Floats, *bias: Floats) -> list[str]:
        assert isinstance(node.operation, Conv | Linear)
        rounded, scales = round_weights(node.operation, weight)
        names = [self._back(rounded, scales[:1] if are_factors(node.operation) else scales)]
        grid = self._rounding.of(node.inputs[0], node, self._plan)
        if bias and grid is not None and isinstance(node.operation, Linear):
            steps = (scales * np.float32(grid.scale)).astype(np.float32)
            numbers = np.rint(bias[0] / steps.astype(np.float64)).clip(-(2**31), 2**31 - 1)
            names.append(self._back(numbers.astype(np.int32), steps))
        elif bias:
            names.append(self._keep(bias[0].astype(np.float32)))
        return names

    def _back(self, numbers: npt.NDArray[Any], scales: npt.NDArray[np.float32]) -> str:
        """The name of what whole numbers stand for: channel by channel, or with one scale."""
        options: dict[str, Any] = {"axis": 0}
        if len(scales) == 1:
            scales, options = scales.reshape(()), {}
        wide, zeros = self._new(), self._share(np.zeros(scales.shape, numbers.dtype))
        inputs = [self._keep(numbers), self._share(scales), zeros]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [wide], **options))
        return wide

    def _grid(self, grid: Grid) -> tuple[str, str]:
        return self._share(np.array(grid.scale, np.float32)), self._share(
            np.array(grid.zero, np.uint8)
        )

    def _keep_half(self, numbers: npt.NDArray[np.float32]) -> str:
        """The name of numbers that are kept in 16 bits, and widened once when the file is loaded.

        Rounding them to 11 bits is less than all else that is lost. A few numbers are fewer bytes
        than what widens them.
        """
        if numbers.size < _MANY or np.abs(numbers).max() > np.finfo(np.float16).max:
            return self._keep(numbers)
        half, wide = self._keep(numbers.astype(np.float16)), self._new()
        self.nodes.append(helper.make_node("Cast", [half], [wide], to=TensorProto.FLOAT))
        return wide

    def _keep(self, numbers: npt.NDArray[Any]) -> str:
        name = self._new()
        self.weights.append(numpy_helper.from_array(numbers, name))
        return name

    def _share(self, numbers: npt.NDArray[Any]) -> str:
        key = f"{numbers.dtype}{numbers.shape}", numbers.tobytes()
        if key not in self._shared:
            self._shared[key] = self._keep(numbers)
        return self._shared[key]
