"""What camera and file do to a picture: exposure, tone, blur, resolution, noise, JPEG."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.data.jpeg import decode_rgb
from pocketface.synthetic import plates
from pocketface.synthetic.nuisance import Nuisance

_TABLE, _BRIGHTEST = 16384, 2.0
_RADII = ((0, 2), (2, 3), (3, 6), (6, 10_000))


def develop(linear: Tensor, nuisances: Sequence[Nuisance]) -> Tensor:
    """Turn linear light float32 (N, 3, H, W) into display values in [0, 255], the same shape."""
    device = linear.device

    def send(values: Sequence[object]) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device).view(
            len(nuisances), -1, 1, 1
        )

    gain = send([2.0**n.exposure * n.tint * (_TABLE / _BRIGHTEST) for n in nuisances])
    index = (linear * gain).clamp_(0, _TABLE - 1).to(torch.int32)
    shown = _tone(device).index_select(0, index.view(-1)).view(linear.shape)
    contrast, saturation = (
        send([n.contrast for n in nuisances]),
        send([0.0 if n.grey else n.saturation for n in nuisances]),
    )
    shown = shown.mul_(contrast).add_(110.0 * (1 - contrast))
    red, green, blue = shown.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    return (shown - grey).mul_(saturation).add_(grey)


def soften(shown: Tensor, nuisances: Sequence[Nuisance]) -> Tensor:
    """Blur and coarsen display values (N, 3, H, W) as lens, distance and enlargement do."""
    size = shown.shape[-1]
    scale = size / 112
    coarse = [min(n.resolution, 112.0) for n in nuisances]
    # What a coarse grid cannot hold is blurred away before it is sampled.
    sigma = [
        scale * (n.blur**2 + 0.18 * ((112 / r) ** 2 - 1)) ** 0.5
        for n, r in zip(nuisances, coarse, strict=True)
    ]
    shown = _blur(shown, sigma)
    for i, r in enumerate(coarse):
        if r < 111:
            shown[i] = _resample(shown[i], round(r * scale))
    return shown


def add_noise(shown: Tensor, nuisances: Sequence[Nuisance]) -> Tensor:
    """Sensor noise: one grain for brightness, a fainter one for each colour."""
    size = shown.shape[-1]
    sheet = _sheet(size, shown.device)
    grains = torch.stack(
        [
            torch.stack([sheet[o[k] : o[k] + size, o[k + 1] : o[k + 1] + size] for k in range(4)])
            for o in (n.plate_offset.tolist() for n in nuisances)
        ]
    )
    strength = torch.as_tensor(
        np.array([n.noise for n in nuisances], dtype=np.float32), device=shown.device
    )
    colour = torch.as_tensor(
        np.array([0.5 * (1 - n.grey) for n in nuisances], dtype=np.float32), device=shown.device
    )
    mixed = grains[:, :1] + grains[:, 1:] * colour.view(-1, 1, 1, 1)
    return shown + mixed * strength.view(-1, 1, 1, 1)


def to_bytes(shown: Tensor) -> Tensor:
    """Round display values (N, 3, H, W) to uint8 (N, H, W, 3)."""
    return (shown + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def through_jpeg(images: NDArray[np.uint8], nuisances: Sequence[Nuisance]) -> NDArray[np.uint8]:
    """What JPEG leaves of uint8 (N, H, W, 3) at each nuisance's quality.

    Below 90 colour is kept at half size, as cameras and newspapers do.
    """
    seen = np.empty_like(images)
    for i, now in enumerate(nuisances):
        quality = round(now.jpeg)
        sampling = "420" if quality < 90 else "444"
        file = simplejpeg.encode_jpeg(images[i], quality, "RGB", sampling)
        seen[i] = decode_rgb(file, f"rendered face {i}")
    return seen


@cache
def _tone(device: torch.device) -> Tensor:
    """Display values of linear light from 0 to `_BRIGHTEST`, float32 (`_TABLE`,)."""
    light = (np.arange(_TABLE) + 0.5) * (_BRIGHTEST / _TABLE)
    # Highlights are pressed together before they clip; the rest is sRGB's curve.
    light = np.minimum(light - 0.55 * np.maximum(light - 0.65, 0), 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return torch.as_tensor((255 * curve).astype(np.float32), device=device)


def _blur(shown: Tensor, sigma: Sequence[float]) -> Tensor:
    """A Gaussian of `sigma` pixels for each image, in two passes.

    Images are blurred together with others of about their width. An image's own radius bounds its
    weights: the taps of wider neighbours are exact zeros to it.
    """
    radius = [max(1, int(np.ceil(2.4 * s))) for s in sigma]
    groups = [[i for i, r in enumerate(radius) if low < r <= high] for low, high in _RADII]
    for group in groups:
        if group:
            wide = [radius[i] for i in group]
            part = torch.as_tensor(group, device=shown.device)
            blurred = _blur_alike(shown.index_select(0, part), [sigma[i] for i in group], wide)
            shown.index_copy_(0, part, blurred)
    return shown


def _blur_alike(shown: Tensor, sigma: Sequence[float], radius: Sequence[int]) -> Tensor:
    """Blur images whose taps reach `radius` pixels."""
    widest = max(radius)
    weights = np.zeros((len(sigma), widest + 1))
    for i, (s, r) in enumerate(zip(sigma, radius, strict=True)):
        taps = np.exp(-0.5 * (np.arange(r + 1) / max(s, 1e-3)) ** 2)
        weights[i, : r + 1] = taps / (taps[0] + 2 * taps[1:].sum())
    w = torch.as_tensor(weights.astype(np.float32), device=shown.device)
    w = w.view(len(sigma), -1, 1, 1, 1)
    size = shown.shape[-1]
    for axis in (2, 3):
        first, last = shown.narrow(axis, 0, 1), shown.narrow(axis, size - 1, 1)
        padded = torch.cat([first] * widest + [shown] + [last] * widest, dim=axis)
        total = shown * w[:, 0]
        for k in range(1, widest + 1):
            pair = padded.narrow(axis, widest - k, size) + padded.narrow(axis, widest + k, size)
            total += pair.mul_(w[:, k])
        shown = total
    return shown


def _resample(image: Tensor, coarse: int) -> Tensor:
    """Sample one image (3, H, W) on `coarse` points an axis and enlarge it again bilinearly."""
    size = image.shape[-1]
    point = (np.arange(size) + 0.5) * coarse / size - 0.5
    low = np.clip(np.floor(point).astype(np.int64), 0, coarse - 1)
    high = np.minimum(low + 1, coarse - 1)
    share = torch.as_tensor(np.clip(point - low, 0, 1).astype(np.float32), device=image.device)
    source = np.clip(((np.arange(coarse) + 0.5) * size / coarse).astype(np.int64), 0, size - 1)
    a, b = (torch.as_tensor(source[k], device=image.device) for k in (low, high))
    rows = image.index_select(1, a)
    image = rows + (image.index_select(1, b) - rows) * share[:, None]
    columns = image.index_select(2, a)
    return columns + (image.index_select(2, b) - columns) * share


@cache
def _sheet(size: int, device: torch.device) -> Tensor:
    """The plate of grain, repeated so that any corner in it starts a whole image."""
    repeat = -(-size // plates.SIDE) + 1
    return (0.6 * plates.plate("white", device) + 0.6 * plates.plate("grain", device)).repeat(
        repeat, repeat
    )
