"""Pixels to network input, in torch, on the device where the network runs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.preprocessing import Preprocessing


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn uint8 (N, H, W, 3) RGB into the float32 (N, 3, S, S) that a network expects.

    S is `preprocessing.image_size`; images of another size are resized with antialiasing. The
    result keeps the channels-last memory layout of its source, which convolutions on a CPU like.
    """
    inputs = images.permute(0, 3, 1, 2).float()
    size = preprocessing.image_size
    if inputs.shape[-2:] != (size, size):
        inputs = F.interpolate(
            inputs, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
    if preprocessing.channel_order == "bgr":
        inputs = inputs.flip(1)
    # Made on the CPU and sent without waiting: made on a GPU, they would wait for all its work.
    mean, std = (
        torch.tensor(numbers).view(1, 3, 1, 1).to(inputs.device, non_blocking=True)
        for numbers in (preprocessing.mean, preprocessing.std)
    )
    return (inputs / 255.0 - mean) / std
