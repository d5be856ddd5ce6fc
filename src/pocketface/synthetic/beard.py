"""Short hair on the skin: shaven shadow, stubble, beard, and the scalp's roots under thin hair."""

import torch

from pocketface.synthetic import plates
from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, blend


def paint_beard(canvas: Canvas, look: Appearance) -> None:
    """Cover the skin with hair where `canvas.beard` says so."""
    image = canvas.image
    row, column = look.at(image, "skin_row", "skin_column")
    i = (canvas.y * 1.1 + column + 640).to(torch.int64)
    j = (canvas.x * 1.3 + row + 640).to(torch.int64)
    strand = plates.read("strand", i, j)
    grain = plates.read("grain", j, i)
    full = (canvas.beard * (1.25 + 0.30 * strand + 0.2 * grain) - 0.18).clamp(0, 0.96)
    hair = look.colour_at(image, "beard") * (1 + 0.16 * strand)
    canvas.albedo = blend(canvas.albedo, hair, full)
    canvas.glint = canvas.glint * (1 - 0.85 * full)


def paint_shadow(canvas: Canvas, look: Appearance) -> None:
    """A shaven beard shows through the skin, bluish."""
    image = canvas.image
    grain = plates.read("grain", (canvas.y * 2 + 512).to(torch.int64), (canvas.x * 2 + 512).to(torch.int64))
    cover = (canvas.shadow * (1 + 0.25 * grain)).clamp(0, 0.8)
    below = canvas.albedo.new_tensor([[0.42], [0.48], [0.58]]) * canvas.albedo
    mixed = 0.72 * below + 0.28 * look.colour_at(image, "beard")
    canvas.albedo = blend(canvas.albedo, mixed, cover)


def paint_scalp(canvas: Canvas, look: Appearance) -> None:
    """Roots darken the scalp below the hair and soften the hairline."""
    image = canvas.image
    grain = plates.read("grain", (canvas.y * 1.5 + 512).to(torch.int64), (canvas.x * 1.5 + 512).to(torch.int64))
    cover = (canvas.scalp * (1 + 0.25 * grain)).clamp(0, 0.95)
    canvas.albedo = blend(canvas.albedo, look.colour_at(image, "hair") * (1 + 0.25 * grain), cover)
    canvas.glint = canvas.glint * (1 - 0.7 * cover)
