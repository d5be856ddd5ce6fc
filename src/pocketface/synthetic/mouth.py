"""Lips, the line between them, and what shows when they part."""

import torch
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.head import MOUTH_Y
from pocketface.synthetic.paint import Canvas, Painter, blend, bump


def _near_mouth(canvas: Canvas, _: Appearance) -> Tensor:
    x, y = canvas.place["x"], canvas.place["y"]
    return (x.abs() < 34) & ((y - MOUTH_Y).abs() < 17) & (canvas.place["z"] > 25)


def _paint_mouth(canvas: Canvas, look: Appearance) -> None:
    """Paint lips, mouth line, teeth and the dark behind them."""
    image, x, y = canvas.image, canvas.place["x"], canvas.place["y"]
    up, low, cupid, half, gloss = look.at(
        image, "lip_up", "lip_low", "cupid", "mouth_half", "gloss"
    )
    across = x.abs() / half
    rest = (1 - across * across).clamp(min=0)
    bow = cupid * (bump((x.abs() - 6.0) * (1 / 6.5)) - 0.8 * bump(x * (1 / 4.0)))
    above = up * rest * (1.12 - 0.3 * across) + bow * rest
    below = low * rest * (0.55 + 0.45 * rest)
    d = y - MOUTH_Y
    inside = torch.minimum(above - d, d + below)
    lips = canvas.edge(inside) * (across < 1.0)
    colour = look.colour_at(image, "lips")
    canvas.colour["albedo"] = blend(
        canvas.colour["albedo"], colour * (1.0 - 0.14 * (d > 0)), lips * 0.92
    )
    wet = lips * gloss * bump((d + 0.45 * low) * (1 / 2.6)) * rest
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.5 * lips) + canvas.colour["diffuse"][
        1
    ] * (0.16 * wet)
    width = max(1.3, 0.8 * canvas.soft)
    line = bump(d * (1 / (1.3 * width))) * (1.3 - across * across).clamp(0, 1)
    corner = bump((across - 1.02) * 4.5) * bump((d + 0.5) * (1 / 4.0))
    crease = torch.maximum(0.62 * line, 0.55 * corner)
    canvas.colour["albedo"] = canvas.colour["albedo"] * (1 - crease)
    # The hollow below the lower lip, and the groove above the upper one.
    hollow = bump((d + low + 3.0) * (1 / 4.5)) * bump(x * (1 / 17.0))
    groove = bump(x * (1 / 3.2)) * bump((d - up - 5.0) * (1 / 6.0))
    canvas.colour["albedo"] = canvas.colour["albedo"] * (1 - 0.13 * hollow - 0.10 * groove)
    _inside(canvas, look)


def _inside(canvas: Canvas, look: Appearance) -> None:
    """Teeth above and below, dark between, by the height within the opening."""
    image, x, slit = canvas.image, canvas.place["x"], canvas.place["slit"]
    gap, up, low = look.at(image, "gap", "teeth_up", "teeth_low")
    height = (slit * 3 - 1).clamp(0, 1) * gap
    inside = (slit > 0.02) & (slit < 0.98) & (x.abs() < 26.5)
    inside = inside.to(torch.float32)
    arc = 1 - (x * (1 / 27.0)) ** 2
    teeth = torch.maximum(canvas.edge(up * arc - height), canvas.edge(height - gap + low * arc))
    teeth = teeth * canvas.edge(23.0 - x.abs())
    gaps = bump(((x * 0.125).frac().abs() - 0.5) * 2.6)
    tooth = (
        canvas.colour["albedo"].new_tensor([[0.78], [0.72], [0.62]])
        * (0.9 - 0.25 * (1 - gaps))
        * arc.clamp(0.2, 1)
    )
    deep = canvas.colour["albedo"].new_tensor([[0.07], [0.018], [0.016]]) * (0.5 + 0.8 * slit)
    shown = blend(deep, tooth, teeth)
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], shown, inside)
    # Light falls into the mouth from the front only.
    canvas.colour["diffuse"] = blend(
        canvas.colour["diffuse"], look.colour_at(image, "teeth"), inside
    )
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - inside)


MOUTH = Painter(
    where=_near_mouth,
    paint=_paint_mouth,
    places=("x", "y", "slit"),
    colours=("albedo", "diffuse", "glint"),
)
