"""What a network costs: parameters, multiply-accumulates, and the papers' MFLOPs.

The count follows the layers that one forward pass calls, at the image size that the network was
built for. It runs on torch's meta device, so that no arithmetic is done.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pocketface.models.backbone import Backbone
from pocketface.models.cell import FactorisedReduction, SeparableConv


@dataclass(frozen=True)
class Cost:
    """The cost of one image.

    Attributes:
        parameters: how many numbers are learnt; running statistics are not among them.
        macs: multiply-accumulates of convolutions and linear layers, without biases; a
            depthwise 1x1 convolution counts although it is computed with its neighbour.
        paper_flops: the "FLOPs" that the PocketNet paper publishes: 2 x MACs, 2 per input
            element of a batch norm, 1 per input element of a PReLU, and 9 per output element of
            a 3x3 pool. They are no measure of time: compare them only with such figures.
    """

    parameters: int
    macs: int
    paper_flops: int


def measure_cost(backbone: Backbone) -> Cost:
    """Count the cost of `backbone` for one image of its own size; the network is not changed.

    For another image size build the network with it. Raises TypeError if the network holds
    parameters in a kind of layer that this count does not know: a silent zero would be wrong.
    """
    network = copy.deepcopy(backbone).to("meta").eval()
    macs = others = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs, others
        macs += _macs(layer, output)
        others += _other_flops(layer, inputs[0], output)

    for module in network.modules():
        if isinstance(module, _COUNTED):
            module.register_forward_hook(count)
        elif next(module.parameters(recurse=False), None) is not None:
            raise TypeError(f"measure_cost does not know the layer {type(module).__name__}")
    size = network.image_size
    with torch.no_grad():
        network(torch.empty(1, 3, size, size, device="meta"))
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=macs,
        paper_flops=2 * macs + others,
    )


_COUNTED = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.PReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    SeparableConv,
    FactorisedReduction,
)


def _macs(layer: nn.Module, output: Tensor) -> int:
    """Give the multiply-accumulates of the layer for an output (1, C, H, W) or (1, D)."""
    if isinstance(layer, nn.Linear):
        return layer.weight.numel()
    convolutions: tuple[nn.Conv2d, ...] = ()
    # A folded pair never calls its two layers, so it is counted where it is computed.
    if isinstance(layer, nn.Conv2d):
        convolutions = (layer,)
    elif isinstance(layer, SeparableConv) and layer.folds:
        convolutions = (layer.depthwise, layer.pointwise)
    elif isinstance(layer, FactorisedReduction):
        convolutions = (layer.conv11, layer.conv12, layer.conv21, layer.conv22)
    return sum(layer.weight.numel() for layer in convolutions) * output[0, 0].numel()


def _other_flops(layer: nn.Module, x: Tensor, output: Tensor) -> int:
    """Give what the paper counts beside convolutions."""
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return 2 * x.numel()
    if isinstance(layer, nn.PReLU):
        return x.numel()
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return 9 * output.numel()
    return 0
