"""Batch statistics over the images of all processes, on GPUs."""

from typing import Any

import torch
from torch import nn

from pocketface.errors import RecipeError
from pocketface.models.backbone import Backbone


def synchronise(backbone: Backbone, device: torch.device) -> Backbone:
    """Have the batch normalisations of `backbone` use the images of all processes.

    Parameters, buffers and their names stay, so checkpoints and weights files do too. Outside of
    training, and where there is one process, it computes what it did before.

    Raises:
        RecipeError: if `device` is not a GPU.
    """
    if device.type != "cuda":
        raise RecipeError(
            "sync_batch_norm: true needs CUDA GPUs: torch synchronises no batch statistics on the "
            f"device '{device.type}'. Set sync_batch_norm: false; each process then takes the "
            "statistics of its own images."
        )
    # Layers are replaced one by one, with the parameters they have; the network itself stays.
    converted: Any = nn.SyncBatchNorm.convert_sync_batchnorm(backbone)  # type: ignore[no-untyped-call]
    assert isinstance(converted, Backbone)
    return converted
