"""Eyebrows painted above the sockets."""

import torch
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter, blend


def _near_brows(canvas: Canvas, _: Appearance) -> Tensor:
    x, y = canvas.place["x"], canvas.place["y"]
    return (x.abs() < 62) & ((y - 19).abs() < 15) & (canvas.place["z"] > 25)


def _paint_brows(canvas: Canvas, look: Appearance) -> None:
    """Paint both brows: a tapered arc of short hairs."""
    image, x, y = canvas.image, canvas.place["x"], canvas.place["y"]
    half, first, last, height, arch, tilt, dense = look.at(
        image, "brow_half", "brow_in", "brow_out", "brow_y", "brow_arch", "brow_tilt", "brow_dense"
    )
    along = (x.abs() - first) / (last - first)
    t = along.clamp(0, 1)
    # The arc is highest at about two thirds of the way out.
    rise = t * (2.6 - 2.0 * t) * 1.25 - 0.2
    middle = height + tilt * (t - 0.45) + arch * (rise - 0.45)
    taper = (0.55 + 2.2 * t).clamp(max=1.0) * (1 - 0.72 * t * t)
    inside = half * taper - (y - middle).abs()
    strand = plates.read(
        "grain",
        (y * 1.1 + x.abs() * 0.5 + 300).to(torch.int64),
        (x * 1.6 + 300).to(torch.int64),
    )
    ends = canvas.edge((last - first) * torch.minimum(along * 0.6 + 0.03, 1.05 - along))
    cover = (inside * (1 / (0.9 + canvas.soft * 0.7)) + 0.5 + 0.22 * strand).clamp(0, 1)
    cover = cover * ends * dense
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], look.colour_at(image, "brow"), cover)
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.8 * cover)


BROWS = Painter(
    where=_near_brows, paint=_paint_brows, places=("x", "y"), colours=("albedo", "glint")
)
