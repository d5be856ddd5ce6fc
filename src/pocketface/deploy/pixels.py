"""Normalisation inside the network: RGB pixels in the place of normalised images, exactly.

A network sees (x / 255 - mean) / std, in its own channel order. The first convolution takes the
division and the order into its weights; what is left is a subtraction, which must stay before it,
since the padding is zero after normalisation.
"""

import numpy as np

from pocketface.deploy.graph import Affine, Conv, Graph, Node
from pocketface.errors import ExportError
from pocketface.preprocessing import Preprocessing


def take_pixels(graph: Graph, preprocessing: Preprocessing) -> None:
    """Let `graph` take RGB values 0 to 255 (N, 3, S, S), in place.

    Raises ExportError where something else than a dense convolution sees the images first.
    """
    order = [0, 1, 2] if preprocessing.channel_order == "rgb" else [2, 1, 0]
    mean = 255 * np.array(preprocessing.mean)[order]
    scale = 1 / (255 * np.array(preprocessing.std)[order])
    images = graph.input
    centred = graph.node(Affine(np.ones(3), -mean), images)
    source = centred.output if mean.any() else images

    def change(node: Node) -> list[Node] | None:
        if images not in node.inputs:
            return None
        conv = node.operation
        if not isinstance(conv, Conv) or conv.groups > 1:
            raise ExportError(
                f"the network begins with {type(conv).__name__}, not with a convolution of all "
                "channels, so that pixels cannot be taken in its weights. Export it with float "
                "input."
            )
        weight = conv.weight[:, order] * scale[None, :, None, None]
        taken = Conv(weight, conv.bias, conv.stride, conv.pads, conv.groups)
        return [Node(taken, (source,), node.output)]

    graph.rewrite(change)
    if mean.any():
        graph.nodes.insert(0, centred)
