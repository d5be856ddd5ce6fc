"""How each person of a batch looks in its picture: one table of named figures.

A row is the person's complexion at that age, changed by the picture's circumstances: expression,
make-up, a haircut, what is worn, the light. Painters read columns by name, at vertices for whole
images or at fragments by image. Colours are linear, in [0, 1]; lengths are in mm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pocketface.synthetic.complexion import Row, complexion, hair_colour, mix, rgb
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance

_LIPSTICK = (0.36, 0.045, 0.06)


@dataclass(frozen=True)
class Appearance:
    """Named columns of a batch: `table` float32 (K, N), one row for each of `names`."""

    names: dict[str, int]
    table: Tensor

    def __getitem__(self, name: str) -> Tensor:
        """The column called `name` as (N, 1), for use over the vertices of whole images."""
        return self.table[self.names[name]][:, None]

    def at(self, image: Tensor, *names: str) -> list[Tensor]:
        """The named columns at each fragment's image, float32 (P,) each."""
        return [self.table[self.names[name]].index_select(0, image) for name in names]

    def stack(self, *names: str) -> Tensor:
        """The named columns as (len(names), N, 1)."""
        return torch.stack([self[name] for name in names])

    def colour(self, name: str) -> Tensor:
        """Columns `name`_r, _g, _b as (3, N, 1)."""
        return self.stack(*(f"{name}_{c}" for c in "rgb"))

    def colour_at(self, image: Tensor, name: str) -> Tensor:
        """Columns `name`_r, _g, _b at each fragment's image, float32 (3, P)."""
        return torch.stack(self.at(image, *(f"{name}_{c}" for c in "rgb")))


def describe(
    identities: Sequence[Identity], nuisances: Sequence[Nuisance], device: torch.device
) -> Appearance:
    """Work out the appearance of each person at each moment."""
    rows = [_one(i, n) for i, n in zip(identities, nuisances, strict=True)]
    names = {name: k for k, name in enumerate(rows[0])}
    table = np.array([list(row.values()) for row in rows]).T
    return Appearance(names, torch.as_tensor(table.astype(np.float32), device=device))


def _one(who: Identity, now: Nuisance) -> Row:
    row = complexion(who, now.age)
    for change in (_expression, _makeup, _lines):
        row |= change(row, now)
    row |= _haircut(row, who, now) | _beard(row, who, now)
    return row | _worn(who, now) | _light(now)


def _expression(row: Row, now: Nuisance) -> Row:
    """Eyes, brows and mouth as far as paint shows them; the mesh moves apart from this."""
    thin = 1.0 - 0.28 * now.smile
    return {
        "blink": now.blink,
        "squint": now.squint,
        "gaze_x": min(max(3.6 * now.gaze_x - 0.06 * now.yaw, -5.0), 5.0),
        "gaze_y": min(max(2.0 * now.gaze_y - 0.04 * now.pitch, -2.5), 2.5),
        "lid_up": row["lid_up"] + 0.5 * now.brow_raise,
        "brow_in": row["brow_in"] - 0.8 * now.brow_frown,
        "brow_y": row["brow_y"] + 0.4 * now.brow_raise,
        "lip_up": max(1.5, row["lip_up"] * thin),
        "lip_low": max(2.5, row["lip_low"] * thin),
        "gap": 17.0 * now.jaw + 4.0 * now.upper_lip_raise + 2.0 * now.smile,
        "teeth_up": 4.5 + 5.5 * now.smile + 3.0 * now.upper_lip_raise,
        "teeth_low": 1.5 + 2.0 * now.jaw,
    }


def _makeup(row: Row, now: Nuisance) -> Row:
    """Flushed cheeks, shine; for women eyes and lips painted more or less."""
    paint = now.makeup * (1 - row["male"])
    stick = min(max(0.0, 1.5 * paint - 0.75), 0.75)
    lips = mix((row["lips_r"], row["lips_g"], row["lips_b"]), _LIPSTICK, stick)
    return rgb("lips", lips) | {
        "cheek_red": row["rosy"] * (row["cheek_red"] + 0.5 * now.flush),
        "shine": now.shine * (0.8 + 0.2 * row["male"]),
        "lash": row["lash"] + 0.7 * paint,
        "lid_paint": 0.55 * paint**2,
        "gloss": 0.10 + 0.35 * stick,
    }


def _lines(row: Row, now: Nuisance) -> Row:
    """How deep each kind of line is."""
    line, bare = row["wrinkles"], 1 - now.mask
    return {
        "line_fold": (0.14 * row["fold"] + 0.24 * line + 0.26 * now.smile) * bare,
        "line_marionette": 0.22 * line * bare,
        "line_forehead": 0.17 * line + 0.20 * now.brow_raise * (0.4 + line),
        "line_glabella": 0.2 * line + 0.30 * now.brow_frown,
        "line_crow": 0.22 * line + 0.22 * line * now.smile + 0.1 * now.squint,
        "line_below_eye": 0.05 + 0.22 * line + 0.12 * now.smile,
    }


def _haircut(row: Row, who: Identity, now: Nuisance) -> Row:
    """The person's habit and the day's fancy, mixed by `hair_change`."""
    change, male = now.hair_change, row["male"]
    spread = math.sqrt((1 - change) ** 2 + change**2)
    length = ((1 - change) * who["habit_length"] + change * now.hair_length) / spread
    fringe = ((1 - change) * who["habit_fringe"] + change * now.hair_fringe) / spread
    curl = min(max(row["curl"] + 0.15 * now.hair_wave, 0.0), 1.0)
    cut = {
        "hair_length": length + 1.15 - 1.9 * male,
        "hair_fringe": fringe + 0.1 - 0.4 * male,
        "hair_volume": min(max(0.45 + 0.22 * now.hair_volume + 0.5 * curl, 0.05), 1.4),
        "hair_part": now.hair_part,
        "hair_curl": curl,
    }
    grown = row["hair_r"], row["hair_g"], row["hair_b"]
    if now.hair_dye >= 0:
        return cut | rgb("hair", hair_colour(now.hair_dye))
    if now.makeup * (1 - male) > 0.35:
        # Grey is dyed over, as it was.
        young = row["young_hair_r"], row["young_hair_g"], row["young_hair_b"]
        return cut | rgb("hair", mix(grown, young, 0.75))
    return cut


def _beard(row: Row, who: Identity, now: Nuisance) -> Row:
    """How far the beard has grown that day."""
    male = row["male"]
    growth = who["habit_beard"] + now.beard_change - 1.05
    moustache = (growth + 0.5 + 0.45 * who["beard_dense"]) / 0.6
    beard = {
        "beard_full": male * min(max(growth / 0.8, 0.0), 1.0),
        "moustache": male * min(max(moustache, 0.0), 1.0),
        "shadow": row["shadow"] * min(max(1 + 0.45 * now.beard_change, 0.0), 2.0),
    }
    return beard | {"bearded": float(max(beard.values()) > 0.03)}


def _worn(who: Identity, now: Nuisance) -> Row:
    """Spectacles (0 none, 1 thin, 2 thick, 3 dark), mask, hat, clothes."""
    wears = who["habit_glasses"] + 0.018 * (now.age - 40) > 1.0
    if now.glasses_change and now.glasses_draw < 0.5:
        wears = not wears
    kind = 0.0
    if wears:
        kind = 1.0 if now.glasses_draw % 0.5 < 0.34 else 2.0
    if now.glasses_change and now.glasses_draw > 0.93:
        kind = 3.0
    row: Row = {
        "glasses": kind,
        "glasses_size": min(max(now.glasses_size, -1.5), 1.5),
        "mask": now.mask,
        "hat": now.hat,
        "collar": now.collar,
    }
    colours = {
        "clothes": now.clothes,
        "mask": now.mask_colour,
        "hat": now.hat_colour,
        "frame": now.glasses_colour,
    }
    for name, colour in colours.items():
        row |= rgb(name, tuple(colour.tolist()))
    return row


def _light(now: Nuisance) -> Row:
    turn = math.radians(now.yaw)
    ahead = np.array([math.sin(turn), 0.0, math.cos(turn)])
    reach = np.clip(now.light_from @ ahead, 0.0, 1.0)
    teeth = 0.8 * now.sky + 0.95 * (now.light_colour * reach[:, None]).sum(axis=0)
    # Halfway between each lamp and the viewer, who is far away along z.
    half = now.light_from + np.array([0.0, 0.0, 1.0])
    half = half / np.maximum(np.sqrt((half * half).sum(axis=1, keepdims=True)), 1e-3)
    row = rgb("sky", tuple(now.sky.tolist())) | rgb("ground", tuple(now.ground.tolist()))
    row |= rgb("teeth", tuple(teeth.tolist()))
    lamps = zip(now.light_from.tolist(), half.tolist(), now.light_colour.tolist(), strict=True)
    for k, (towards, middle, colour) in enumerate(lamps):
        row |= rgb(f"light{k}", tuple(colour))
        row[f"soft{k}"] = float(now.light_soft[k])
        for a, axis in enumerate("xyz"):
            row[f"light{k}_{axis}"] = towards[a]
            row[f"half{k}_{axis}"] = middle[a]
    return row
