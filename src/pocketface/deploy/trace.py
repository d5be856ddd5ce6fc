"""A backbone as a graph of plain operations, found by torch.fx without running it."""

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from pocketface.deploy.graph import (
    Add,
    Affine,
    Concat,
    Conv,
    Flatten,
    Floats,
    Graph,
    Linear,
    Pool,
    PRelu,
    Relu,
)
from pocketface.errors import ExportError
from pocketface.models import Backbone
from pocketface.models.cell import FactorisedReduction, SeparableConv

INPUT = "images"
"""Name of the graph's input."""

_LEAVES = (SeparableConv, FactorisedReduction)
"""Modules of ours that are read whole: they hold products of weights, and slices of maps."""


def trace_graph(backbone: Backbone) -> Graph:
    """Read `backbone`, as it computes in evaluation, into a graph; the backbone is not changed.

    Raises ExportError for a layer that is not known.
    """
    # Of a copy: the check of the images' shape asks what no symbol can answer.
    network = copy.copy(backbone)
    network.__dict__ = {**backbone.__dict__, "check_images": lambda images: None}
    try:
        traced = _Tracer().trace(network)
    except fx.proxy.TraceError as error:
        raise ExportError(
            f"{backbone.architecture} cannot be read as a graph: {error}. Export needs a network "
            "whose forward pass takes the same way for all images."
        ) from error
    graph = Graph(INPUT)
    graph.channels[INPUT] = 3
    values: dict[fx.Node, Any] = {}
    modules = dict(network.named_modules())
    for node in traced.nodes:
        graph.layer = _module_of(node)
        match node.op:
            case "placeholder":
                values[node] = INPUT
            case "call_module":
                (source,) = node.args
                values[node] = _add_module(graph, modules[str(node.target)], values[source])
            case "call_function" | "call_method":
                arguments = fx.node.map_arg(node.args, lambda argument: values[argument])
                values[node] = _add_call(graph, node.target, arguments, node.kwargs)
            case "output":
                graph.output = values[node.args[0]]
    graph.prune()
    return graph


def _module_of(node: fx.Node) -> str:
    """The name of the module that is called, or in whose forward pass the call stands."""
    stack = node.meta.get("nn_module_stack") or {"": None}
    return str(node.target) if node.op == "call_module" else str(list(stack)[-1])


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            isinstance(m, _LEAVES)
            or super().is_leaf_module(m, module_qualified_name)
            or (isinstance(m, nn.PReLU))
        )


def _add_call(graph: Graph, target: Any, arguments: tuple[Any, ...], options: Any) -> Any:
    """The functions and methods that our forward passes call."""
    if target in (operator.add, torch.add):
        return graph.add(Add(), *arguments)
    if target is torch.cat and options == {"dim": 1}:
        return graph.add(Concat(), *arguments[0])
    if target == "flatten" and arguments[1:] == (1,):
        return graph.add(Flatten(), arguments[0])
    raise ExportError(
        f"export does not know the operation {target} with {options or arguments[1:]}."
    )


def _add_module(graph: Graph, module: nn.Module, source: str) -> str:
    """Append what `module` computes on the value `source`; gives the name of its value."""
    for kind, add in _MODULES.items():
        if isinstance(module, kind):
            return add(graph, module, source)
    known = ", ".join(sorted(kind.__name__ for kind in _MODULES))
    raise ExportError(f"export does not know the layer {type(module).__name__}; it knows {known}.")


def _add_conv(graph: Graph, layer: nn.Conv2d, source: str) -> str:
    stride, pad = layer.stride[0], layer.padding[0]
    assert isinstance(pad, int)
    bias = np.zeros(layer.out_channels) if layer.bias is None else _numbers(layer.bias)
    return graph.add(Conv(_numbers(layer.weight), bias, stride, (pad, pad), layer.groups), source)


def _add_linear(graph: Graph, layer: nn.Linear, source: str) -> str:
    bias = np.zeros(layer.out_features) if layer.bias is None else _numbers(layer.bias)
    return graph.add(Linear(_numbers(layer.weight), bias), source)


def _add_norm(graph: Graph, layer: nn.BatchNorm1d | nn.BatchNorm2d, source: str) -> str:
    return graph.add(_affine(layer), source)


def _affine(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Affine:
    """What a batch norm does in evaluation."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    scale = 1 / np.sqrt(_numbers(layer.running_var) + layer.eps)
    shift = -_numbers(layer.running_mean) * scale
    if layer.affine:
        weight = _numbers(layer.weight)
        scale, shift = scale * weight, shift * weight + _numbers(layer.bias)
    return Affine(scale, shift)


def _add_prelu(graph: Graph, layer: nn.PReLU, source: str) -> str:
    return graph.add(PRelu(_numbers(layer.weight)), source)


def _add_separable(graph: Graph, layer: SeparableConv, source: str) -> str:
    x = _add_module(graph, layer.net[0], source)
    for part in (layer.depthwise, layer.pointwise, layer.net[3]):
        x = _add_module(graph, part, x)
    return x


def _add_reduction(graph: Graph, layer: FactorisedReduction, source: str) -> str:
    """Two halves, each with its half of the batch norm.

    The pixels that the shifted half reads are picked by a depthwise 2x2 convolution that is zero
    but for its last tap: a slice would cost the runtime its blocked layout.
    """
    x = _add_module(graph, layer.relu, source)
    norm = _affine(layer.bn)
    half = len(norm.scale) // 2
    first = _add_module(graph, layer.conv12, _add_module(graph, layer.conv11, x))
    picked = _numbers(layer.conv21.weight)
    last_tap = np.zeros((len(picked), 1, 2, 2))
    last_tap[:, :, 1:, 1:] = picked
    shifted = graph.add(Conv(last_tap, np.zeros(len(picked)), 2, groups=len(picked)), x)
    second = _add_module(graph, layer.conv22, shifted)
    halves = [
        graph.add(Affine(norm.scale[part], norm.shift[part]), value)
        for part, value in ((slice(half), first), (slice(half, None), second))
    ]
    return graph.add(Concat(), *halves)


def _add_pool(graph: Graph, layer: nn.MaxPool2d | nn.AvgPool2d, source: str) -> str:
    kernel, stride, pad = layer.kernel_size, layer.stride, layer.padding
    assert isinstance(kernel, int)
    assert isinstance(stride, int)
    assert isinstance(pad, int)
    return graph.add(Pool(isinstance(layer, nn.AvgPool2d), kernel, stride, pad), source)


_MODULES: dict[type[nn.Module], Callable[[Graph, Any, str], str]] = {
    SeparableConv: _add_separable,
    FactorisedReduction: _add_reduction,
    nn.Conv2d: _add_conv,
    nn.Linear: _add_linear,
    nn.BatchNorm1d: _add_norm,
    nn.BatchNorm2d: _add_norm,
    nn.PReLU: _add_prelu,
    nn.ReLU6: lambda graph, _, source: graph.add(Relu(6.0), source),
    nn.ReLU: lambda graph, _, source: graph.add(Relu(), source),
    nn.MaxPool2d: _add_pool,
    nn.AvgPool2d: _add_pool,
    nn.Identity: lambda graph, _, source: source,
}
"""What each layer becomes; the first kind that fits."""


def _numbers(tensor: torch.Tensor) -> Floats:
    numbers: Floats = tensor.detach().cpu().numpy().astype(np.float64)
    return numbers
