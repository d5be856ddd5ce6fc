"""Augmentations of light and colour, pixel by pixel.

Values are float32 (N, H, W, 3), red, green and blue from 0 to 255; what is given may leave this
range.
"""

from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601, as in JPEG)."""


def relight(values: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Scale the distance to each image's mean by `contrast` (N,), then all by `brightness` (N,)."""
    mean = values.mean(dim=(1, 2, 3), keepdim=True)
    values = (values - mean) * contrast.view(-1, 1, 1, 1) + mean
    return values * brightness.view(-1, 1, 1, 1)


def tint(values: Tensor, gains: Tensor, saturation: Tensor) -> Tensor:
    """Scale the colours by `gains` (N, 3), then the distance to grey by `saturation` (N,)."""
    values = values * gains.view(-1, 1, 1, 3)
    red, green, blue = values.unbind(-1)
    grey = (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(-1)
    share = saturation.view(-1, 1, 1, 1)
    return values * share + grey * (1 - share)
