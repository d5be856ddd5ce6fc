"""Augmentations that read each pixel from several: crop and enlarge, blur, lower the resolution.

Each is linear and treats rows and columns apart, so for one image it is a matrix (H, H) from the
left and one (W, W) from the right, another one for every image. The matrices of several
augmentations are multiplied before they meet an image, so together they cost one resampling. The
rows of all of them sum to 1: an even image stays as it is, and no value leaves the range.

Shapes: N images of H x W pixels, float32 (N, H, W, 3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_LEAST_BLUR = 1e-3
"""Pixels; a Gaussian this narrow is 0 at the next pixel, so the image stays as it is."""


class Resampling(NamedTuple):
    """What gives each new row, (N, H, H), and each new column, (N, W, W), from the old ones."""

    rows: Tensor
    columns: Tensor


def resample(values: Tensor, maps: Sequence[Resampling]) -> Tensor:
    """Apply `maps`, at least one, in their order."""
    rows, columns = maps[0]
    for later in maps[1:]:
        rows, columns = later.rows @ rows, later.columns @ columns
    planes = values.permute(0, 3, 1, 2)
    planes = rows.unsqueeze(1) @ planes @ columns.unsqueeze(1).mT
    return planes.permute(0, 2, 3, 1)


def cropping(crops: Tensor, height: int, width: int) -> Resampling:
    """Enlarge what `crops`, (N, 3) as in AugmentPlan.crops, cut out, bilinearly."""
    side, top, left = crops[:, :1], crops[:, 1:2], crops[:, 2:]

    def along(begin: Tensor, size: int) -> Tensor:
        # Places are pixels' centres; the first one's is 0.
        places = begin * (1 - side) * size + (_count(size, crops) + 0.5) * side - 0.5
        return _interpolation(places, size)

    return Resampling(along(top, height), along(left, width))


def blurring(deviations: Tensor, height: int, width: int) -> Resampling:
    """Means weighted by a Gaussian of the standard deviation (N,), over what lies in the image."""
    deviations = deviations.clamp_min(_LEAST_BLUR).view(-1, 1, 1)

    def along(size: int) -> Tensor:
        places = _count(size, deviations)
        weights = torch.exp(-0.5 * ((places.view(-1, 1) - places) / deviations).square())
        return weights / weights.sum(dim=2, keepdim=True)

    return Resampling(along(height), along(width))


def coarsening(shares: Tensor, height: int, width: int) -> Resampling:
    """Shrink to a share (N,) of the sides' pixels by means over areas; enlarge bilinearly.

    The smaller picture has a whole number of pixels, at least one.
    """
    shares = shares.view(-1, 1)

    def along(size: int) -> Tensor:
        pixels = (shares * size).round().clamp_min(1)
        # Row k is pixel k of the smaller picture; the rows that it does not have are not read.
        places = _count(size, shares)
        extent = size / pixels.unsqueeze(2)
        begin = places.view(-1, 1) * extent
        covered = torch.minimum(begin + extent, places + 1) - torch.maximum(begin, places)
        shrinking = covered.clamp_min(0) / extent
        centres = (places + 0.5) * (pixels / size) - 0.5
        enlarging = _interpolation(centres.clamp(max=pixels - 1), size)
        return enlarging @ shrinking

    return Resampling(along(height), along(width))


def _count(size: int, like: Tensor) -> Tensor:
    """0 to size - 1, of the type and on the device of another tensor."""
    return torch.arange(size, dtype=like.dtype, device=like.device)


def _interpolation(places: Tensor, size: int) -> Tensor:
    """Weights (N, M, size) that read between two pixels at `places` (N, M); outside, at the end."""
    places = places.clamp(0, size - 1)
    return (1 - (places.unsqueeze(2) - _count(size, places)).abs()).clamp_min(0)
