"""What a graph computes, by torch's own functions in float64."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.deploy.graph import (
    Add,
    Affine,
    Concat,
    Conv,
    Flatten,
    Graph,
    Linear,
    Pool,
    PRelu,
    Relu,
)


def compute(graph: Graph, images: Tensor) -> Tensor:
    """Run `graph` on float64 images (N, 3, S, S)."""
    values = {graph.input: images}
    for node in graph.nodes:
        x, *rest = (values[name] for name in node.inputs)
        values[node.output] = _step(node.operation, x, rest)
    return values[graph.output]


def _step(operation, x: Tensor, rest: list[Tensor]) -> Tensor:
    match operation:
        case Conv(weight, bias, stride, (before, after), groups):
            x = F.pad(x, (before, after, before, after))
            return F.conv2d(x, _t(weight), _t(bias), stride, groups=groups)
        case Linear(weight, bias):
            return F.linear(x, _t(weight), _t(bias))
        case Affine(scale, shift):
            shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
            return x * _t(scale).view(shape) + _t(shift).view(shape)
        case PRelu(slope):
            return F.prelu(x, _t(slope))
        case Relu(most):
            return x.clamp(0, most)
        case Add():
            return x + rest[0]
        case Concat():
            return torch.cat([x, *rest], dim=1)
        case Pool(True, kernel, stride, pad):
            return F.avg_pool2d(x, kernel, stride, pad, count_include_pad=False)
        case Pool(False, kernel, stride, pad):
            return F.max_pool2d(x, kernel, stride, pad)
        case Flatten():
            return x.flatten(1)
    raise AssertionError(operation)


def _t(numbers) -> Tensor:
    return torch.from_numpy(numbers)
