"""Eyes painted on the sockets: opening, eyeball, iris, lids, lashes."""

import torch
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.paint import Canvas, Painter, blend, bump

EYE_X = 31.5
"""Distance of each eye's centre from the middle of the face, mm."""

_HALF = 18.0
_IRIS, _PUPIL = 6.1, 2.5


def _near_eyes(canvas: Canvas, _: Appearance) -> Tensor:
    x, y = canvas.place["x"], canvas.place["y"]
    return ((x.abs() - EYE_X).abs() < 24) & ((y - 1).abs() < 16) & (canvas.place["z"] > 30)


def _paint_eyes(canvas: Canvas, look: Appearance) -> None:
    """Paint both eyes."""
    image, x, y = canvas.image, canvas.place["x"], canvas.place["y"]
    side = torch.sign(x)
    dx = x.abs() - EYE_X
    u = dx * (1 / _HALF)
    arch = 1 - u * u * (0.6 + 0.4 * u * u)
    line = 0.9 * u - 1.0
    lid_up, lid_low, peak, blink, squint = look.at(
        image, "lid_up", "lid_low", "lid_peak", "blink", "squint"
    )
    low = -lid_low * (1 - 0.55 * squint) * arch * (1 + 0.25 * u)
    high = lid_up * (1 - 0.4 * squint) * arch * (1 - peak * u)
    high = high + (0.75 * low - high) * blink
    above = line + high - y
    below = y - line - low
    opening = canvas.edge(torch.minimum(above, below)) * (u.abs() < 1)
    _lids(canvas, look, u, above, below, blink)
    _eyeball(canvas, look, side, dx, above, opening)


def _lids(
    canvas: Canvas, look: Appearance, u: Tensor, above: Tensor, below: Tensor, blink: Tensor
) -> None:
    """Skin around the opening: paint, crease, lash line, the shade under the lower lid."""
    image = canvas.image
    lash, crease, depth, paint, shadow = look.at(
        image, "lash", "crease", "crease_depth", "lid_paint", "eye_shadow"
    )
    along = (1.12 - u * u).clamp(min=0)
    over = -above
    lid = bump((over - 2.5) * (1 / 5.5)) * along.clamp(max=1)
    fold = bump((over - crease - 1.5 * blink) * (1 / 1.9)) * along.clamp(max=1)
    bag = bump((below + 2.0) * (1 / 6.0)) * (1.3 - u * u).clamp(0, 1)
    hollow = bump((over - 1.0) * (1 / 9.0)) * bump((u - 0.4) * (1 / 1.5))
    keep = (1 - 0.5 * depth * fold) * (1 - (0.14 + 0.5 * paint) * lid) * (1 - shadow * bag)
    keep = keep * (1 - 0.30 * hollow)
    canvas.colour["albedo"] = canvas.colour["albedo"] * torch.stack(
        [keep, keep * (1 - 0.04 * bag), keep]
    )
    # A pixel cannot show a line of a millimetre: draw it wider and fainter.
    width = max(1.3, 0.85 * canvas.soft)
    reach = (1.20 - u * u).clamp(0, 1)
    line = bump((over - 0.3) * (1 / (1.35 * width))) * reach * (0.62 + 0.38 * lash).clamp(max=1.0)
    under = bump((below + 0.4) * (1 / (1.2 * width))) * reach * 0.5 * lash
    dark = torch.maximum(line * (0.72 + 0.2 * lash).clamp(max=0.93), under)
    canvas.colour["albedo"] = blend(
        canvas.colour["albedo"], torch.full_like(canvas.colour["albedo"][:, :1], 0.012), dark
    )
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - 0.7 * torch.maximum(dark, lid * 0.4))


def _eyeball(
    canvas: Canvas, look: Appearance, side: Tensor, dx: Tensor, above: Tensor, opening: Tensor
) -> None:
    """The white, the iris and its highlight, inside the opening."""
    image = canvas.image
    gaze_x, gaze_y = look.at(image, "gaze_x", "gaze_y")
    ix = dx - side * gaze_x
    iy = canvas.place["y"] + 0.3 - gaze_y
    r2 = ix * ix + iy * iy
    iris = canvas.edge((_IRIS * _IRIS - r2) * (1 / (2 * _IRIS)))
    pupil = canvas.edge((_PUPIL * _PUPIL - r2) * (1 / (2 * _PUPIL)))
    rim = (r2 * (1 / (_IRIS * _IRIS))).clamp(0, 1)
    shade = 0.30 + 0.70 * (above * 0.18).clamp(0, 1)
    corner = (dx * (1 / _HALF)) ** 2
    white = torch.stack([0.40 - 0.14 * corner, 0.33 - 0.15 * corner, 0.30 - 0.15 * corner])
    inner = bump((dx + 14.0) * (1 / 3.5))
    white = blend(white, white.new_tensor([[0.45], [0.2], [0.17]]), 0.7 * inner)
    colour = look.colour_at(image, "iris") * (1.15 - 0.75 * rim * rim)
    ball = blend(white, colour, iris)
    ball = blend(ball, torch.full_like(ball[:, :1], 0.006), pupil) * shade
    canvas.colour["albedo"] = blend(canvas.colour["albedo"], ball, opening)
    key_x, key_y = look.at(image, "light0_x", "light0_y")
    hx = ix * side - 2.6 * key_x
    hy = iy - 0.6 - 2.4 * key_y
    spot = canvas.edge((1.25 * 1.25 - hx * hx - hy * hy) * (1 / 2.5)) * opening
    (bright,) = look.at(image, "light0_g")
    canvas.colour["glint"] = canvas.colour["glint"] * (1 - opening) + 0.85 * spot * bright


EYES = Painter(where=_near_eyes, paint=_paint_eyes, places=("x", "y"), colours=("albedo", "glint"))
