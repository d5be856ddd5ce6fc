"""Short hair on the skin: shaven shadow, stubble, beard, and the scalp's roots under thin hair."""

import torch
from torch import Tensor

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter, blend


def _bearded(canvas: Canvas, look: Appearance) -> Tensor:
    """The lower faces of those who have a beard or shave one."""
    return (canvas.place["y"] < 32) & (look.at(canvas.image, "bearded")[0] > 0)


def _paint_beard(canvas: Canvas, look: Appearance) -> None:
    """A shaven beard shows through the skin, bluish; a full one covers it."""
    image, x, y = canvas.image, canvas.place["x"], canvas.place["y"]
    row, column = look.at(image, "skin_row", "skin_column")
    i, j = (y * 1.1 + column).to(torch.int32), (x * 1.3 + row).to(torch.int32)
    strand = plates.read("strand", i, j)
    grain = plates.read("grain", j, i)
    albedo, hair = canvas.colour["albedo"], look.colour_at(image, "beard")
    through = albedo * (0.72 * albedo.new_tensor([[0.42], [0.48], [0.58]])) + 0.28 * hair
    shaven = (canvas.place["shadow"] * (1 + 0.25 * grain)).clamp_(0, 0.8)
    full = (canvas.place["beard"] * (1.25 + 0.30 * strand + 0.2 * grain) - 0.18).clamp_(0, 0.96)
    albedo = blend(albedo, through, shaven)
    canvas.colour["albedo"] = blend(albedo, hair * (1 + 0.16 * strand), full)
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.85 * full)


def _haired(canvas: Canvas, _: Appearance) -> Tensor:
    """Above the brows, and beside and behind the face."""
    return (canvas.place["y"] > 28) | (canvas.place["z"] < 36)


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
    where=_bearded,
    paint=_paint_beard,
    places=("x", "y", "beard", "shadow"),
    colours=("albedo", "glint"),
)
SCALP = Painter(
    where=_haired,
    paint=_paint_scalp,
    places=("x", "y", "scalp"),
    colours=("albedo", "glint"),
)
