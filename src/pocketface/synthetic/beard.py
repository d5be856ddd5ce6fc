"""Short hair on the skin: shaven shadow, stubble, beard, and the scalp's roots under thin hair."""

import torch

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter, blend


def _paint_beard(canvas: Canvas, look: Appearance) -> None:
    """Cover the skin with hair where `canvas.place["beard"]` says so."""
    image = canvas.image
    row, column = look.at(image, "skin_row", "skin_column")
    i = (canvas.place["y"] * 1.1 + column + 640).to(torch.int64)
    j = (canvas.place["x"] * 1.3 + row + 640).to(torch.int64)
    strand = plates.read("strand", i, j)
    grain = plates.read("grain", j, i)
    full = (canvas.place["beard"] * (1.25 + 0.30 * strand + 0.2 * grain) - 0.18).clamp(0, 0.96)
    hair = look.colour_at(image, "beard") * (1 + 0.16 * strand)
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], hair, full)
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.85 * full)


def _paint_shadow(canvas: Canvas, look: Appearance) -> None:
    """A shaven beard shows through the skin, bluish."""
    image = canvas.image
    grain = plates.read(
        "grain",
        (canvas.place["y"] * 2 + 512).to(torch.int64),
        (canvas.place["x"] * 2 + 512).to(torch.int64),
    )
    cover = (canvas.place["shadow"] * (1 + 0.25 * grain)).clamp(0, 0.8)
    below = canvas.colour["albedo"].new_tensor([[0.42], [0.48], [0.58]]) * canvas.colour["albedo"]
    mixed = 0.72 * below + 0.28 * look.colour_at(image, "beard")
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], mixed, cover)


def _paint_scalp(canvas: Canvas, look: Appearance) -> None:
    """Roots darken the scalp below the hair and soften the hairline."""
    image = canvas.image
    grain = plates.read(
        "grain",
        (canvas.place["y"] * 1.5 + 512).to(torch.int64),
        (canvas.place["x"] * 1.5 + 512).to(torch.int64),
    )
    cover = (canvas.place["scalp"] * (1 + 0.25 * grain)).clamp(0, 0.95)
    canvas.colour["albedo"] = blend(
        canvas.colour["albedo"], look.colour_at(image, "hair") * (1 + 0.25 * grain), cover
    )
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.7 * cover)


BEARD = Painter(
    where=lambda canvas, _: canvas.place["beard"] > 0.02,
    paint=_paint_beard,
    places=("x", "y", "beard"),
    colours=("albedo", "glint"),
)
SHADOW = Painter(
    where=lambda canvas, _: canvas.place["shadow"] > 0.02,
    paint=_paint_shadow,
    places=("x", "y", "shadow"),
    colours=("albedo",),
)
SCALP = Painter(
    where=lambda canvas, _: canvas.place["scalp"] > 0.02,
    paint=_paint_scalp,
    places=("x", "y", "scalp"),
    colours=("albedo", "glint"),
)
