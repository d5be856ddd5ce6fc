"""Cloth on the head: a face mask, and clothes from the collar down."""

import torch
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter, blend, bump


def _masked(canvas: Canvas, look: Appearance) -> Tensor:
    below = (canvas.place["y"] < 0) & (canvas.place["z"] > 0)
    return below & (look.at(canvas.image, "mask")[0] > 0)


def _paint_mask(canvas: Canvas, look: Appearance) -> None:
    """A mask from the bridge of the nose to under the chin, with pleats."""
    ax, y, z = canvas.place["x"].abs(), canvas.place["y"], canvas.place["z"]
    upper = -10 - 9 * (ax * (1 / 30.0)).clamp(max=1) - 0.12 * ax - y
    lower = y + 128 - 0.45 * ax
    cover = canvas.edge(torch.minimum(torch.minimum(upper, lower), z - 12))
    pleat = bump(((y * (1 / 15.0) + 16.0).frac() - 0.5) * 5.0) * bump(ax * (1 / 52.0))
    colour = look.colour_at(canvas.image, "mask") * (1 - 0.18 * pleat)
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], colour, cover)
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - cover)


def _paint_clothes(canvas: Canvas, look: Appearance) -> None:
    """Clothes from the collar down."""
    (collar,) = look.at(canvas.image, "collar")
    cover = canvas.edge(-138 - 28 * collar - 0.10 * canvas.place["z"] - canvas.place["y"])
    colour = look.colour_at(canvas.image, "clothes")
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], colour, cover)
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - cover)


MASK = Painter(
    where=_masked, paint=_paint_mask, places=("x", "y", "z"), colours=("albedo", "glint")
)
CLOTHES = Painter(
    where=lambda canvas, _: canvas.place["y"] < -120,
    paint=_paint_clothes,
    places=("y", "z"),
    colours=("albedo", "glint"),
)
