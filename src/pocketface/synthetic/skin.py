"""Skin: its colour over the face at vertices, and its marks at fragments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.head import template_head
from pocketface.synthetic.paint import Canvas, Painter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SkinPlaces:
    """Where on the template things lie: float32 (V,) each.

    `x`, `y`, `z`: the painters' coordinates (see `Canvas`); `slit`: 0 above the mouth to 1 below;
    then weights in [0, 1] of regions.
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

    moustache = (
        rise((33 - ax) / 9)
        * rise((-49 - 0.12 * ax - y) / 7)
        * rise((y + 71) / 4)
        * rise((z - 30) / 20)
    )
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
        "rosy": np.clip(
            hill((40, -30), (17, 16))
            + 0.8 * hill((0, -36), (12, 10))
            + 0.3 * hill((0, -106), (16, 9)),
            0,
            1,
        ),
        "sallow": hill((0, 48), (48, 22)),
        "ear": (head.ear[:, 0] != 0) * 1.0,
        "oily": np.clip(
            0.35
            + 0.7 * hill((0, 45), (34, 24))
            + 0.8 * hill((0, -25), (10, 26))
            + 0.5 * hill((38, -22), (13, 11)),
            0,
            1.2,
        ),
        "moustache": moustache,
        "chin": chin * below,
        "cheek": beard,
    }
    return SkinPlaces(
        **{k: torch.as_tensor(v.astype(np.float32), device=device) for k, v in values.items()}
    )


@cache
def painter_places() -> tuple[Floats, Floats, Floats]:
    """The painters' x, y, z of each vertex (V,): y is its loop's height in the face's middle."""
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
    """How densely a full beard and a shaven shadow cover each vertex, (N, V) each, 0 to 1."""
    cheek = places.cheek * (0.45 + 0.55 * look["beard_cheek"])
    around = torch.maximum(torch.maximum(cheek, places.chin), 0.9 * places.moustache)
    full = torch.maximum(
        look["beard_full"] * torch.maximum(cheek, places.chin), look["moustache"] * places.moustache
    )
    return full * look["beard_dense"], around * look["shadow"]


def _paint_blotches(canvas: Canvas, look: Appearance) -> None:
    """Skin is never of one colour: blotches at the person's own place on the plate."""
    row, column, blotch = look.at(canvas.image, "skin_row", "skin_column", "blotch")
    i = (canvas.place["y"] * 0.8 + row).to(torch.int32)
    j = (canvas.place["x"] * 0.8 + column).to(torch.int32)
    uneven = blotch * plates.read("skin", i, j)
    keep = 1 + uneven
    rest = keep - 0.5 * uneven
    canvas.colour["albedo"] = canvas.colour["albedo"] * torch.stack([keep, rest, rest])


def _paint_freckles(canvas: Canvas, look: Appearance) -> None:
    row, column, freckles = look.at(canvas.image, "skin_row", "skin_column", "freckles")
    i = (canvas.place["y"] * 1.9 + column).to(torch.int32)
    j = (canvas.place["x"] * 1.9 + row).to(torch.int32)
    dark = 1 - (plates.read("grain", i, j) - 0.7).clamp_(0, 1) * freckles
    canvas.colour["albedo"] = canvas.colour["albedo"] * torch.stack([dark, dark, dark * dark])


def _paint_moles(canvas: Canvas, look: Appearance) -> None:
    """Two moles at places of the person's own."""
    for mole in ("mole_a", "mole_b"):
        x, y, size = look.at(canvas.image, f"{mole}_x", f"{mole}_y", f"{mole}_size")
        dx, dy = canvas.place["x"] - x, canvas.place["y"] - y
        inside = (size * size - dx * dx - dy * dy) / (2 * size + 0.2)
        cover = canvas.edge(inside - 0.3) * (size > 0.35)
        canvas.colour["albedo"] = canvas.colour["albedo"] * (1 - 0.8 * cover)


def _on_faces(name: str) -> Callable[[Canvas, Appearance], Tensor]:
    """The fragments of the front of faces whose column `name` is above 0."""

    def where(canvas: Canvas, look: Appearance) -> Tensor:
        return (canvas.place["z"] > 20) & (look.at(canvas.image, name)[0] > 0)

    return where


BLOTCHES = Painter(where=None, paint=_paint_blotches, places=("x", "y"), colours=("albedo",))
FRECKLES = Painter(
    where=_on_faces("freckles"), paint=_paint_freckles, places=("x", "y"), colours=("albedo",)
)
MOLES = Painter(
    where=_on_faces("moles"), paint=_paint_moles, places=("x", "y"), colours=("albedo",)
)


def _slit() -> Floats:
    """0 down to the upper lip's edge, 1 from the lower lip's on, 1/3 and 2/3 in the mouth."""
    head = template_head()
    inner = head.mouth > 0
    return np.where(inner, np.where(head.lower, 2 / 3, 1 / 3), head.lower * 1.0)
