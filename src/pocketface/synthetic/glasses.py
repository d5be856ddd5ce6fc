"""Spectacles: a strip of frame and lenses before the eyes, with arms back to the ears."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.head import grid_triangles
from pocketface.synthetic.skin import painter_places
from pocketface.synthetic.surface import grid_normals

_ROWS = 5
_FRONT = 70.0
_PATH = np.concatenate(
    [-np.array([170, 130, 100, 84, 76]), np.linspace(-70, 70, 25), [76, 84, 100, 130, 170]]
)
_HEIGHT = 27.0


@cache
def strip_triangles() -> NDArray[np.int64]:
    """Triangles of the strip, int64 (T, 3)."""
    return grid_triangles(_ROWS, len(_PATH), wrap=False)


@cache
def _anchors() -> tuple[int, int, int]:
    """The vertices nearest the root of the nose, an eye's centre and the top of an ear's root."""
    x, y, z = painter_places()
    places = ((0.0, 2.0, 95.0), (31.5, 0.0, 85.0), (70.0, 14.0, 5.0))
    found = [int(np.argmin((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)) for a, b, c in places]
    return found[0], found[1], found[2]


def strip(shape: Tensor) -> Tensor:
    """Put spectacles on bent heads (N, 3, V): float64 (N, 3, G) in the head's axes, mm."""
    root, eye, ear = _anchors()
    path = torch.as_tensor(np.tile(_PATH, _ROWS), device=shape.device)
    height = (
        torch.as_tensor(np.repeat(np.linspace(1, -1, _ROWS), len(_PATH)), device=shape.device)
        * _HEIGHT
    )
    front = path.abs().clamp(max=_FRONT)
    back = (path.abs() - _FRONT).clamp(min=0)
    wide = (shape[:, 0, ear, None] + 4.0) / _FRONT
    x = torch.sign(path) * front * wide
    z0 = torch.maximum(shape[:, 2, root] + 2.5, shape[:, 2, eye] + 13.0)[:, None]
    level = (shape[:, 1, root] * 0.4 + shape[:, 1, eye] * 0.6)[:, None]
    z = z0 - 0.0028 * front * front - 0.96 * back
    y = level + height - 0.04 * back
    return torch.stack([x, y, z], dim=1)


def strip_normals(camera: Tensor) -> Tensor:
    """Unit normals float32 (N, 3, G) of turned strips (N, 3, G)."""
    index = torch.arange(_ROWS, device=camera.device)
    grid = camera.float().view(len(camera), 3, _ROWS, -1)
    normal = grid_normals(
        grid, wrap=False, up=(index - 1).clamp(min=0), down=(index + 1).clamp(max=_ROWS - 1)
    )
    return normal.reshape(len(camera), 3, -1)


def strip_places(device: torch.device) -> tuple[Tensor, Tensor]:
    """The path along the strip and the height on it of each vertex in mm, float32 (G,) each."""
    path = torch.as_tensor(np.tile(_PATH, _ROWS).astype(np.float32), device=device)
    height = torch.as_tensor(
        (np.repeat(np.linspace(1, -1, _ROWS), len(_PATH)) * _HEIGHT).astype(np.float32),
        device=device,
    )
    return path, height


def frame(
    look: Appearance, image: Tensor, path: Tensor, height: Tensor, soft: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Coverage (P,), albedo (3, P) and shine (P,) of spectacles at fragments of the strip."""
    kind, size = look.at(image, "glasses", "glasses_size")
    ax = path.abs()
    half_x, half_y = 24.0 + 2.0 * size, 15.0 + 3.2 * size
    # Lenses between an ellipse and a box.
    u, v = (ax - 32.5) / half_x, (height + 2.0 - 0.06 * (ax - 32.5)) / half_y
    u2, v2 = u * u, v * v
    r4 = u2 * u2 + v2 * v2
    round_ = u2 + v2
    shape = 0.5 * (r4 + round_)
    out = (shape - 1) * 0.25 * (half_x + half_y)
    rim_width = torch.where(kind == 2, 2.3, torch.where(kind == 3, 2.0, 0.9))
    wider = rim_width.clamp(min=0.75 * soft)
    faint = rim_width / wider
    rim = ((wider - (out * 0.5).abs()) * (1 / soft) + 0.5).clamp(0, 1) * faint * (ax < 68)
    bridge = ((rim_width * 0.8 - (height - 4.0).abs()) * (1 / soft) + 0.5).clamp(0, 1) * (
        ax < 32.5 - half_x + 2
    )
    arm = ((rim_width * 0.9 - (height - 5.0 + 0.10 * (ax - 60)).abs()) * (1 / soft) + 0.5).clamp(
        0, 1
    ) * (ax > 32.5 + half_x - 1)
    solid = torch.maximum(torch.maximum(rim, bridge), arm) * (kind > 0)
    lens = (out < 0) * (ax < 68) * (kind > 0)
    tint = torch.where(kind == 3, 0.90, 0.06) * lens
    dark = look.colour_at(image, "frame")
    glass = torch.full_like(dark, 0.012)
    cover = torch.maximum(solid, tint)
    albedo = glass + (dark - glass) * solid
    return cover, albedo, lens * (1 - solid) + 0.3 * solid
