"""Exact folding of what stands between convolutions: batch norms and depthwise 1x1 convolutions.

A scale per channel times a convolution is a convolution. So a batch norm after a convolution goes
into it whole; a depthwise 1x1 convolution goes into the convolution after it, or before it. A batch
norm before a padded convolution stays: its shift would have to be zero in the padding.
"""

from dataclasses import replace

import numpy as np

from pocketface.deploy.graph import Affine, Conv, Flatten, Floats, Graph, Linear, Node, Operation


def fold(graph: Graph) -> None:
    """Fold all that can be folded, in place."""
    while _pass_flatten(graph) or _fold_pairs(graph):
        pass


def _fold_pairs(graph: Graph) -> bool:
    """Join neighbours that one operation can compute; whether any were found."""
    producers, consumers = graph.producers(), graph.consumers()
    joined: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        before = producers.get(node.inputs[0])
        if before is None or len(node.inputs) > 1 or before.output in joined.keys() | gone:
            continue
        if len(consumers[before.output]) > 1 or before.output == graph.output:
            continue
        operation = _join(before.operation, node.operation)
        if operation is not None:
            joined[node.output] = Node(operation, before.inputs, node.output)
            if not isinstance(before.operation, Affine):  # a batch norm is no layer to name
                graph.layers[node.output] = graph.layers[before.output]
            gone.add(before.output)
    graph.nodes = [joined.get(node.output, node) for node in graph.nodes if node.output not in gone]
    return bool(joined)


def _join(first: Operation, second: Operation) -> Operation | None:
    """One operation that computes `first` and then `second`; None if there is none."""
    match first, second:
        case Conv(), Affine():
            return first.scale_output(second.scale, second.shift)
        case Linear(), Affine():
            return Linear(
                first.weight * second.scale[:, None], first.bias * second.scale + second.shift
            )
        case Affine(), Affine():
            return Affine(first.scale * second.scale, first.shift * second.scale + second.shift)
        case Affine(), Linear():
            return Linear(second.weight * first.scale, second.bias + second.weight @ first.shift)
        case Affine(), Conv():
            return _affine_into(second, first.scale, first.shift)
        case Conv(), Conv() if _only_scales(first) and 1 in (first.stride, second.kernel):
            joined = _affine_into(second, first.weight[:, 0, 0, 0], first.bias)
            return joined and replace(joined, stride=first.stride * second.stride)
        case Conv(), Conv() if _only_scales(second) and second.stride == 1:
            return first.scale_output(second.weight[:, 0, 0, 0], second.bias)
    return None


def _only_scales(conv: Conv) -> bool:
    """Whether it is a factor for each channel, on all pixels or on some."""
    return conv.depthwise and conv.kernel == 1 and conv.pads == (0, 0)


def _affine_into(conv: Conv, scale: Floats, shift: Floats) -> Conv | None:
    """The convolution of a scaled and shifted input; None where padding forbids it."""
    if conv.groups > 1 and not conv.depthwise:
        return None
    if shift.any() and conv.pads != (0, 0):
        return None
    scaled = conv.scale_input(scale)
    taps = conv.weight.sum(axis=(2, 3))
    moved = taps @ shift if conv.groups == 1 else taps[:, 0] * shift
    return Conv(scaled.weight, conv.bias + moved, conv.stride, conv.pads, conv.groups)


def _pass_flatten(graph: Graph) -> bool:
    """Let a batch norm change places with a flattening, to where it can be folded.

    Before a matrix product it goes behind; behind a map of one pixel it goes before. Whether one
    was found.
    """
    producers, consumers = graph.producers(), graph.consumers()
    for place, node in enumerate(graph.nodes):
        before = producers.get(node.inputs[0])
        if before is None or len(consumers[before.output]) > 1:
            continue
        match before.operation, node.operation:
            case Affine() as affine, Flatten():
                following = [after.operation for after in consumers[node.output]]
                if len(following) != 1 or not isinstance(following[0], Linear):
                    continue
                pixels = following[0].weight.shape[1] // len(affine.scale)
                moved = Affine(np.repeat(affine.scale, pixels), np.repeat(affine.shift, pixels))
                flat = graph.node(Flatten(), before.inputs[0])
                new = [flat, Node(moved, (flat.output,), node.output)]
            case Flatten(), Affine() as affine if (
                len(affine.scale) == graph.channels[before.inputs[0]]
            ):
                early = graph.node(affine, before.inputs[0])
                new = [early, Node(Flatten(), (early.output,), node.output)]
            case _:
                continue
        graph.nodes[place : place + 1] = new
        graph.nodes.remove(before)
        return True
    return False
