"""Folds and wrinkles: drawn once on a sheet over the face, read with each picture's strengths.

The lines lie at fixed places of the template, so identity and expression move them with the mesh;
how deep they are is the picture's: age, smile, frown, raised brows.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter

Floats = NDArray[np.float64]

_STEP = 0.5  # mm between points of the sheet
_WIDE, _TOP, _BOTTOM = 72.0, 80.0, -128.0
_COLUMNS = int(_WIDE / _STEP) + 1
_ROWS = int((_TOP - _BOTTOM) / _STEP) + 1
_KINDS = ("fold", "marionette", "forehead", "glabella", "crow", "below_eye")


def _paint_lines(canvas: Canvas, look: Appearance) -> None:
    """Darken furrows and lighten their rims; the nostrils are drawn on the same sheet."""
    x, y = canvas.place["x"], canvas.place["y"]
    column = (x.abs() * (1 / _STEP)).to(torch.int32).clamp_(max=_COLUMNS - 1)
    row = ((_TOP - y) * (1 / _STEP)).to(torch.int32).clamp_(0, _ROWS - 1)
    place = row * _COLUMNS + column
    line, kind, hole = (sheet.index_select(0, place) for sheet in _sheets(x.device))
    strengths = look.stack(*(f"line_{name}" for name in _KINDS)).view(-1)
    images = len(strengths) // len(_KINDS)
    depth = line * strengths.index_select(0, kind * images + canvas.image)
    keep = 1 - depth
    # Red light bleeds into the furrows.
    canvas.colour["diffuse"] = canvas.colour["diffuse"] * torch.stack(
        [keep, keep - 0.10 * depth, keep - 0.12 * depth]
    )
    open_ = 1 - hole
    canvas.colour["albedo"] = canvas.colour["albedo"] * open_
    canvas.colour["glint"] = canvas.colour["glint"] * open_


LINES = Painter(
    where=None,
    paint=_paint_lines,
    places=("x", "y"),
    colours=("albedo", "diffuse", "glint"),
)


@cache
def _sheets(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The sheet flat: the deepest line of each point, float32; its kind, int32; holes, float32."""
    y, ax = np.meshgrid(_TOP - _STEP * np.arange(_ROWS), _STEP * np.arange(_COLUMNS), indexing="ij")
    # From the wing of the nose around the corner of the mouth, and from there down.
    t = (-40 - y) / 36
    fold = _bump((t - 0.5) / 0.72) * _furrow((ax - 20 - 15 * t * (1.25 - 0.35 * t)) / 3.6)
    t = (-76 - y) / 20
    marionette = _bump((t - 0.5) / 0.62) * _furrow((ax - 28 - 2.5 * t) / 2.6)
    wave = y - 46 - 2.5 * _bump(ax / 30)
    forehead = _bump((np.mod(wave / 9 + 0.5, 1) - 0.5) * 3.2) * _bump(wave / 22) * _bump(ax / 48)
    glabella = _furrow((ax - 5) / 2.2) * _bump((y - 20) / 12)
    ray = (y - 1) / np.maximum(ax - 38, 4)
    crow = (
        _bump((np.mod(ray * 1.9 + 0.5, 1) - 0.5) * 3) * _bump((ax - 53) / 8) * _bump((y - 1) / 12)
    )
    below_eye = _furrow((y + 15 - 0.01 * (ax - 30) ** 2) / 2.6) * _bump((ax - 28) / 17)
    nostril = _bump((ax - 8.5) / 6.0) * _bump((y + 45.5 - 0.12 * ax) / 2.8)
    wing = _furrow((ax - 20.5) / 2.4) * _bump((y + 42) / 8)
    dark = np.clip(0.7 * nostril + 0.16 * wing, 0, 1)
    lines = np.stack([fold, marionette, forehead, glabella, crow, below_eye])
    kind = np.abs(lines).argmax(axis=0)
    line = np.take_along_axis(lines, kind[None], axis=0)
    return (
        torch.as_tensor(line.reshape(-1).astype(np.float32), device=device),
        torch.as_tensor(kind.reshape(-1).astype(np.int32), device=device),
        torch.as_tensor(dark.reshape(-1).astype(np.float32), device=device),
    )


def _bump(d: Floats) -> Floats:
    return np.asarray(np.maximum(1 - d * d, 0) ** 2)


def _furrow(d: Floats) -> Floats:
    """A dark line at 0 with a lighter rim on its outer side."""
    return _bump(d) - 0.35 * _bump(d - 1.3)
