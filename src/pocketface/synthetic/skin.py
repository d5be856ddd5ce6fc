"""Skin: its colour over the face at vertices, and its marks and lines at fragments."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.head import template_head
from pocketface.synthetic.paint import Canvas, bump

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SkinPlaces:
    """Where on the template things lie: float32 (V,) each.

    `x`, `y`, `z`: the painters' coordinates (see `Canvas`); `slit`: 0 above the mouth to 1 below; then
    weights in [0, 1] of regions.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    slit: Tensor
    rosy: Tensor
    sallow: Tensor
    ear: Tensor
    oily: Tensor
    moustache: Tensor
    chin: Tensor
    cheek: Tensor


@cache
def skin_places(device: torch.device) -> SkinPlaces:
    """Measure the template once per device."""
    head = template_head()
    x, y, z = painter_places()
    ax = np.abs(x)

    def hill(at: tuple[float, float], reach: tuple[float, float]) -> Floats:
        d = ((ax - at[0]) / reach[0]) ** 2 + ((y - at[1]) / reach[1]) ** 2
        return np.asarray(np.exp(-d) * np.clip(z / 30, 0, 1))

    def rise(t: Floats) -> Floats:
        t = np.clip(t, 0, 1)
        return np.asarray(t * t * (3 - 2 * t))

    moustache = rise((33 - ax) / 9) * rise((-49 - 0.12 * ax - y) / 7) * rise((y + 71) / 4) * rise((z - 30) / 20)
    moustache = np.maximum(moustache, hill((25, -71), (6, 7)))
    chin = rise((25 - ax) / 12) * rise((-84 - y) / 6) * rise((z + 5) / 20)
    jaw = rise((-58 - 0.55 * (62 - ax) - y) / 14) * rise((z + 4) / 10)
    side = rise((ax - 47) / 12) * rise((z + 8) / 10) * rise((42 - z) / 22) * rise((26 - y) / 18)
    below = rise((y + 152) / 22)
    beard = np.maximum(jaw, side) * below * (head.ear[:, 0] == 0)
    values = {
        "x": x,
        "y": y,
        "z": z,
        "slit": _slit(),
        "rosy": np.clip(hill((40, -30), (17, 16)) + 0.8 * hill((0, -36), (12, 10)) + 0.3 * hill((0, -106), (16, 9)), 0, 1),
        "sallow": hill((0, 48), (48, 22)),
        "ear": (head.ear[:, 0] != 0) * 1.0,
        "oily": np.clip(0.35 + 0.7 * hill((0, 45), (34, 24)) + 0.8 * hill((0, -25), (10, 26)) + 0.5 * hill((38, -22), (13, 11)), 0, 1.2),
        "moustache": moustache,
        "chin": chin * below,
        "cheek": beard,
    }
    return SkinPlaces(**{k: torch.as_tensor(v.astype(np.float32), device=device) for k, v in values.items()})


@cache
def painter_places() -> tuple[Floats, Floats, Floats]:
    """x, y, z (V,) of each vertex for painters: y is the height of its loop in the middle of the face."""
    head = template_head()
    skull = head.rows * head.columns
    grid = head.base[:skull].reshape(head.rows, head.columns, 3)
    middle = int(np.argmax(grid[head.rows // 2, :, 2]))
    y = np.concatenate([np.repeat(grid[:, middle, 1], head.columns), head.base[skull:, 1]])
    return head.base[:, 0], y, head.base[:, 2]


def skin_colour(look: Appearance, places: SkinPlaces) -> Tensor:
    """Albedo of bare skin at the vertices, float32 (3, N, V)."""
    red = look["cheek_red"] * (places.rosy + 0.5 * places.ear)
    tone = look.colour("skin")
    return torch.stack(
        [
            tone[0] * (1 + 0.10 * red - 0.02 * places.sallow),
            tone[1] * (1 - 0.62 * red),
            tone[2] * (1 - 0.55 * red - 0.05 * places.sallow),
        ]
    )


def beard_growth(look: Appearance, places: SkinPlaces) -> tuple[Tensor, Tensor]:
    """How densely a full beard and a shaven shadow cover each vertex, float32 (N, V) each in [0, 1]."""
    cheek = places.cheek * (0.45 + 0.55 * look["beard_cheek"])
    around = torch.maximum(torch.maximum(cheek, places.chin), 0.9 * places.moustache)
    full = torch.maximum(
        look["beard_full"] * torch.maximum(cheek, places.chin), look["moustache"] * places.moustache
    )
    return full * look["beard_dense"], around * look["shadow"]


def paint_marks(canvas: Canvas, look: Appearance) -> None:
    """Blotches, freckles and moles: part of who the person is."""
    image = canvas.image
    row, column, blotch, freckles = look.at(image, "skin_row", "skin_column", "blotch", "freckles")
    i = (canvas.y * 0.8 + row + 512).to(torch.int64)
    j = (canvas.x * 0.8 + column + 512).to(torch.int64)
    cloud = plates.read("cloud", i, j)
    grain = plates.read("grain", i, j)
    spots = (grain - 0.6).clamp(0, 1) * freckles * bump(canvas.x * (1 / 62.0)) * bump((canvas.y + 16) * (1 / 45.0))
    keep = 1 + blotch * (cloud + 0.5 * grain)
    red = 0.6 * blotch * cloud
    dark = 1 - 0.5 * spots
    for mole in ("mole_a", "mole_b"):
        mx, my, size = look.at(image, f"{mole}_x", f"{mole}_y", f"{mole}_size")
        dx, dy = canvas.x - mx, canvas.y - my
        inside = (size * size - dx * dx - dy * dy) / (2 * size + 0.2)
        dark = dark * (1 - 0.8 * canvas.edge(inside - 0.3) * (size > 0.35))
    canvas.albedo = canvas.albedo * torch.stack([keep * dark, (keep - red) * dark, (keep - red) * dark * dark])


def paint_lines(canvas: Canvas, look: Appearance) -> None:
    """Folds and wrinkles: dark furrows with a lighter rim, deeper with age and expression."""
    image = canvas.image
    line, smile, frown, up, fold, squint = look.at(image, "line", "smile", "frown", "raise", "fold", "squint")
    ax, y = canvas.x.abs(), canvas.y
    depth = torch.zeros_like(ax)
    # From the wing of the nose around the corner of the mouth.
    t = (-40 - y) * (1 / 36.0)
    curve = 18.5 + 15.0 * t * (1.25 - 0.35 * t)
    reach = bump((t - 0.5) * (1 / 0.72))
    strength = (0.14 * fold + 0.24 * line + 0.26 * smile) * reach
    depth = depth + strength * _furrow((ax - curve) * (1 / 3.6))
    # From the corner of the mouth down.
    t = (-76 - y) * (1 / 20.0)
    depth = depth + (0.22 * line) * bump((t - 0.5) * (1 / 0.62)) * _furrow((ax - 28.0 - 2.5 * t) * (1 / 2.4))
    # Across the forehead.
    wave = y - 46.0 - 2.5 * bump(ax * (1 / 30.0))
    rows = bump((((wave * (1 / 9.0)) + 64.5).frac() - 0.5) * 3.4)
    depth = depth + (0.17 * line + 0.20 * up * (0.4 + line)) * rows * bump(wave * (1 / 22.0)) * bump(ax * (1 / 48.0))
    # Between the brows, at the outer corners of the eyes, below the eyes.
    depth = depth + (0.2 * line + 0.30 * frown) * _furrow((ax - 5.0) * (1 / 2.0)) * bump((y - 20) * (1 / 12.0))
    ray = (y - 1.0) / (ax - 38.0).clamp(min=4.0)
    rays = bump(((ray * 1.9 + 16.5).frac() - 0.5) * 3.0)
    depth = depth + (0.22 * line + 0.22 * line * smile + 0.1 * squint) * rays * bump((ax - 53.0) * (1 / 8.0)) * bump((y - 1) * (1 / 12.0))
    arc = y + 15.0 - 0.010 * (ax - 30.0) * (ax - 30.0)
    depth = depth + (0.05 + 0.22 * line + 0.12 * smile) * _furrow(arc * (1 / 2.4)) * bump((ax - 28.0) * (1 / 17.0))
    keep = 1 - depth
    canvas.diffuse = canvas.diffuse * torch.stack([keep, keep - 0.10 * depth, keep - 0.12 * depth])
    nostril = bump((ax - 7.2) * (1 / 5.4)) * bump((y + 46.5 - 0.16 * ax) * (1 / 2.8))
    wing = _furrow((ax - 19.0) * (1 / 2.2)) * bump((y + 42) * (1 / 8.0))
    canvas.albedo = canvas.albedo * (1 - 0.7 * nostril - 0.16 * wing)
    canvas.glint = canvas.glint * (1 - nostril)


def _furrow(d: Tensor) -> Tensor:
    """A dark line at 0 with a lighter rim on its outer side."""
    return bump(d) - 0.35 * bump(d - 1.3)


def _slit() -> Floats:
    """0 from the upper lip's edge up, 1 from the lower lip's edge down, 1/3 and 2/3 in the mouth."""
    head = template_head()
    inner = head.mouth > 0
    return np.where(inner, np.where(head.lower, 2 / 3, 1 / 3), head.lower * 1.0)
