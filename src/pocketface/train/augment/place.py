"""Augmentations that move pixels or cover them: bytes in, bytes out.

Shapes: N images of H x W pixels, uint8 (N, H, W, 3).
"""

import torch
from torch import Tensor

GREY = 127
"""What covers an erased square."""


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Swap left and right where `mirrored`, bool (N,), says so."""
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(2), images)


def shift(images: Tensor, offsets: Tensor) -> Tensor:
    """Read each image `offsets`, int64 (N, 2), pixels further down and right.

    The border is reflected; an offset must be smaller than the image.
    """
    height, width = images.shape[1:3]
    rows = _reflected(offsets[:, :1], height).unsqueeze(2)
    columns = _reflected(offsets[:, 1:], width).unsqueeze(1)
    batch = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return images[batch, rows, columns]


def _reflected(offsets: Tensor, size: int) -> Tensor:
    """The places (N, size) that are read along one axis, given offsets (N, 1)."""
    last = size - 1
    places = offsets + torch.arange(size, device=offsets.device)
    return last - (last - places.abs()).abs()


def erase(images: Tensor, squares: Tensor) -> Tensor:
    """Cover `squares`, float (N, 3) as in AugmentPlan.erased, with grey."""
    height, width = images.shape[1:3]
    side, top, left = squares[:, 0], squares[:, 1], squares[:, 2]
    y = torch.arange(height, device=images.device).view(1, -1, 1) / height
    x = torch.arange(width, device=images.device).view(1, 1, -1) / width
    above = (top * (1 - side)).view(-1, 1, 1)
    beside = (left * (1 - side)).view(-1, 1, 1)
    reach = side.view(-1, 1, 1)
    inside = (y >= above) & (y < above + reach) & (x >= beside) & (x < beside + reach)
    return images.masked_fill(inside.unsqueeze(-1), GREY)
