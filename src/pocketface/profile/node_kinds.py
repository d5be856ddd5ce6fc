"""What the nodes of an ONNX graph compute, in our words, told by their operators and shapes."""

from collections.abc import Sequence

import numpy as np

Shape = tuple[int, ...]


def kind_of(operator: str, inputs: Sequence[Shape]) -> str:
    """What a node computes, in our words, from its operator and shapes."""
    weight = _weight(operator, inputs)
    if weight is not None and len(weight) == 4 and len(inputs[0]) == 4:
        each, kernel = weight[1], f"{weight[2]}x{weight[3]}"
        if each == 1 and inputs[0][1] == weight[0] > 1:
            return "PReLU or scale" if kernel == "1x1" else f"depthwise {kernel}"
        if each < inputs[0][1]:
            return f"grouped {kernel}"
        return "pointwise 1x1" if kernel == "1x1" else f"convolution {kernel}"
    return next((kind for start, kind in _KINDS if operator.startswith(start)), operator)


_KINDS = (
    ("MaxPool", "max pool"),
    ("AveragePool", "average pool"),
    ("GlobalAveragePool", "average pool"),
    ("Concat", "concatenation"),
    ("Add", "sum"),
    ("Sum", "sum"),
    ("Reorder", "layout"),
    ("Transpose", "layout"),
    ("Gemm", "matrix product"),
    ("MatMul", "matrix product"),
    ("FusedMatMul", "matrix product"),
    ("FusedGemm", "matrix product"),
    ("QGemm", "matrix product"),
    ("PRelu", "PReLU"),
    ("Relu", "activation"),
    ("Clip", "activation"),
    ("Quantize", "quantisation"),
    ("Dequantize", "quantisation"),
)


def macs_of(operator: str, inputs: Sequence[Shape], output: Shape) -> int:
    """Multiply-accumulates of a convolution or matrix product, for all images; 0 for the rest."""
    weight = _weight(operator, inputs)
    if weight is None or not output:
        return 0
    if len(weight) == 4:
        return int(np.prod(output)) * int(np.prod(weight[1:]))
    # Whichever way the matrix lies, each number of the input meets each number of the output.
    return int(np.prod(output)) * (inputs[0][-1] if inputs[0] else 0)


def _weight(operator: str, inputs: Sequence[Shape]) -> Shape | None:
    """The shape of a node's weight, by where the operator keeps it."""
    place = {"QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3}.get(operator, 1)
    known = ("Conv", "Gemm", "MatMul", "QLinearConv", "QGemm", "QLinearMatMul", "NhwcConv")
    fused = operator.removeprefix("Fused").removeprefix("Nhwc")
    if (operator in known or fused in known) and len(inputs) > place:
        return inputs[place]
    return None
