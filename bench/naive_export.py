"""The usual way to a file: torch's own exporter on a network as it was trained. A yardstick."""

import warnings
from pathlib import Path

import torch

from pocketface.models import Backbone


def trained_like(network: Backbone, seed: int = 0) -> Backbone:
    """Give statistics and slopes values of their own, as training does.

    With equal slopes, as they begin, the plain file is a third faster: no fair yardstick.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.3, generator=generator)  # type: ignore[union-attr]
                layer.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
                if layer.affine:
                    layer.weight.uniform_(0.5, 1.5, generator=generator)
                    layer.bias.normal_(0, 0.2, generator=generator)
            elif isinstance(layer, torch.nn.PReLU):
                layer.weight.uniform_(-0.1, 0.5, generator=generator)
    return network.eval()


def export_plainly(network: Backbone, path: Path) -> None:
    """Write `path` with `torch.onnx.export` and its default optimising."""
    size = network.image_size
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),
            path,
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=18,
        )
