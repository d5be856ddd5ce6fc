"""What coefficients and circumstances mean in millimetres and colours.

One table of named float32 columns is made for a batch; painters read columns by name, at vertices
for whole images or at fragments by image index. Colours are linear, in [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.synthetic.ageing import baldness, grey_share, wrinkles
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import LIGHTS, Nuisance
from pocketface.synthetic.pose import dimorphism

Row = dict[str, float]

# Skin from light to dark, hair from black to fair: linear RGB along one axis each.
_SKIN = np.array(
    [
        [0.76, 0.47, 0.36],
        [0.63, 0.355, 0.245],
        [0.43, 0.21, 0.13],
        [0.21, 0.09, 0.052],
        [0.095, 0.04, 0.024],
    ]
)
_HAIR = np.array(
    [
        [0.008, 0.007, 0.0065],
        [0.016, 0.011, 0.009],
        [0.045, 0.026, 0.016],
        [0.12, 0.068, 0.036],
        [0.32, 0.205, 0.10],
        [0.5, 0.37, 0.21],
    ]
)
_GREY = np.array([0.36, 0.36, 0.355])
_IRIS = np.array(
    [
        [0.03, 0.015, 0.008],
        [0.075, 0.036, 0.015],
        [0.10, 0.085, 0.045],
        [0.11, 0.15, 0.17],
        [0.18, 0.24, 0.30],
    ]
)


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
    male = 1.0 if dimorphism(who) > 0 else 0.0
    line = wrinkles(who, now.age)
    fold = max(0.0, 0.35 + 0.18 * who["cheek_fold"])
    row = _lines(line, fold, now)
    row |= _skin(who, now, male) | _eyes(who, now, male) | _mouth(who, now, male)
    row |= _hair(who, now, male) | _worn(who, now) | _light(now)
    return row


def _lines(line: float, fold: float, now: Nuisance) -> Row:
    """How deep each kind of line is: `line` is age's depth, `fold` the person's own."""
    return {
        "line_fold": (0.14 * fold + 0.24 * line + 0.26 * now.smile) * (1 - now.mask),
        "line_marionette": 0.22 * line * (1 - now.mask),
        "line_forehead": 0.17 * line + 0.20 * now.brow_raise * (0.4 + line),
        "line_glabella": 0.2 * line + 0.30 * now.brow_frown,
        "line_crow": 0.22 * line + 0.22 * line * now.smile + 0.1 * now.squint,
        "line_below_eye": 0.05 + 0.22 * line + 0.12 * now.smile,
    }


def _skin(who: Identity, now: Nuisance, male: float) -> Row:
    dark = np.clip(0.28 + 0.21 * who["melanin"] + 0.03 * male, 0, 1)
    skin = _along(_SKIN, dark) * np.exp(
        who["skin_red"] * np.array([0.03, -0.05, -0.03])
        + who["skin_yellow"] * np.array([0.0, 0.01, -0.08])
    )
    row = _rgb("skin", skin) | {
        "cheek_red": 0.22
        * (0.6 + 0.55 * who["cheek_red"] + 0.5 * now.flush)
        * (1 - 0.6 * float(dark)),
        "eye_shadow": max(0.0, 0.16 + 0.10 * who["eye_shadow"]),
        "blotch": 0.035 + 0.014 * who["blotch"],
        "freckles": max(0.0, 0.8 * who["freckles"] - 0.7) * max(0.0, 1 - 2.0 * float(dark)),
        "skin_row": float(who.skin_offset[0]),
        "skin_column": float(who.skin_offset[1]),
        "shine": now.shine * (0.8 + 0.2 * male),
    }
    for mole, low in (("mole_a", 0.2), ("mole_b", 0.7)):
        row[f"{mole}_x"] = 19.0 * who[f"{mole}_x"]
        row[f"{mole}_y"] = -30.0 + 32.0 * who[f"{mole}_y"]
        row[f"{mole}_size"] = 1.7 * max(0.0, who[f"{mole}_size"] - low)
    row["moles"] = max(row["mole_a_size"], row["mole_b_size"])
    return row


def _eyes(who: Identity, now: Nuisance, male: float) -> Row:
    light = np.clip(
        0.42 - 0.26 * who["iris_dark"] - 0.28 * who["melanin"] - 0.08 * who["hair_dark"], 0, 1
    )
    iris = _along(_IRIS, light) * np.exp(who["iris_hue"] * np.array([-0.06, 0.05, 0.10]))
    lift = 0.8 if male else 1.9
    return _rgb("iris", iris) | {
        "lid_up": 5.6 + 0.85 * who["eye_open"] + 0.5 * now.brow_raise + 0.3 * (1 - male),
        "lid_low": 3.9 + 0.35 * who["eye_open"],
        "lid_peak": 0.22 * who["lid_peak"],
        "crease": 3.4 + 1.1 * who["lid_crease"],
        "crease_depth": float(np.clip(0.5 + 0.3 * who["lid_crease"], 0, 0.9)),
        "lash": max(0.2, 0.75 + 0.25 * who["lash"] + (0.7 * now.makeup if not male else 0.0)),
        "lid_paint": (0.55 * now.makeup**2 if not male else 0.0),
        "blink": now.blink,
        "squint": now.squint,
        "gaze_x": float(np.clip(3.6 * now.gaze_x - 0.06 * now.yaw, -5.0, 5.0)),
        "gaze_y": float(np.clip(2.0 * now.gaze_y - 0.04 * now.pitch, -2.5, 2.5)),
        "brow_half": max(1.4, 3.4 + 0.75 * who["brow_thick"] + (0.5 if male else -0.6)),
        "brow_in": 10.5 + 2.2 * who["brow_gap"] - 0.8 * now.brow_frown,
        "brow_out": 51.0 + 2.2 * who["brow_length"],
        "brow_y": 16.6 + lift + 0.4 * now.brow_raise,
        "brow_arch": 3.0 + 1.5 * who["brow_arch"] + (0.0 if male else 0.9),
        "brow_tilt": 1.6 * who["brow_tilt"] + 2.0,
        "brow_dense": float(
            np.clip(0.74 + 0.14 * who["brow_dense"] + (0.1 if male else 0.0), 0.2, 1.0)
        ),
        "makeup": 0.0 if male else now.makeup,
    }


def _mouth(who: Identity, now: Nuisance, male: float) -> Row:
    dark = np.clip(0.28 + 0.21 * who["melanin"], 0, 1)
    natural = _along(_SKIN, dark) * (
        np.array([0.84, 0.66, 0.68])
        * np.exp(who["lip_red"] * np.array([0.02, -0.10, -0.07]) - 0.12 * who["lip_dark"])
    )
    stick = 0.0 if male else max(0.0, 1.5 * now.makeup - 0.75)
    paint = np.array([0.36, 0.045, 0.06])
    lips = natural + min(stick, 0.75) * (paint - natural)
    thin = 1.0 - 0.28 * now.smile - 0.12 * max(0.0, (now.age - 45) / 30)
    return _rgb("lips", lips) | {
        "lip_up": max(
            1.5,
            (5.9 + 1.25 * who["upper_lip_height"] - 0.5 * male + 0.5 * who["upper_lip_full"])
            * thin,
        ),
        "lip_low": max(
            2.5,
            (7.8 + 1.4 * who["lower_lip_height"] - 0.4 * male + 0.5 * who["lower_lip_full"]) * thin,
        ),
        "cupid": 1.1 + 0.7 * who["cupid_bow"],
        "mouth_half": 25.5,
        "gap": 17.0 * now.jaw + 4.0 * now.upper_lip_raise + 2.0 * now.smile,
        "teeth_up": 4.5 + 5.5 * now.smile + 3.0 * now.upper_lip_raise,
        "teeth_low": 1.5 + 2.0 * now.jaw,
        "gloss": 0.10 + 0.35 * min(stick, 1.0),
    }


def _hair(who: Identity, now: Nuisance, male: float) -> Row:
    change = now.hair_change
    mixed = {
        "length": (1 - change) * who["habit_length"] + change * now.hair_length,
        "fringe": (1 - change) * who["habit_fringe"] + change * now.hair_fringe,
    }
    spread = np.sqrt((1 - change) ** 2 + change**2)
    length = mixed["length"] / spread + (-0.75 if male else 1.15)
    fringe = mixed["fringe"] / spread + (-0.3 if male else 0.1)
    fair = np.clip(0.36 - 0.21 * who["hair_dark"] - 0.30 * who["melanin"] + 0.05 * (1 - male), 0, 1)
    natural = _along(_HAIR, fair) * np.exp(
        np.clip(who["hair_red"] - 0.6, 0, 2) * fair * np.array([0.9, 0.1, -0.5])
    )
    grey = grey_share(who, now.age)
    # Women dye grey hair more often than not.
    shown = grey * (1.0 if male else (0.25 if now.makeup > 0.35 else 1.0))
    hair = natural + shown * (_GREY * (0.6 + 0.9 * grey) - natural)
    if now.hair_dye >= 0:
        hair = _along(_HAIR, now.hair_dye)
    brow = natural * np.exp(-0.25 * who["brow_dark"]) * 0.7
    brow = brow + 0.6 * shown * (_GREY * 0.7 - brow)
    beard_grey = min(1.0, 1.5 * grey)
    beard = natural + beard_grey * (_GREY * (0.7 + 0.7 * grey) - natural)
    growth = (
        float(np.clip(who["habit_beard"] + now.beard_change - 1.05, -2.0, 2.0)) if male else -2.0
    )
    bald = baldness(who, now.age, male)
    curl = float(
        np.clip(
            0.12 + 0.35 * who["hair_curl"] + 0.3 * max(0.0, who["melanin"]) + 0.15 * now.hair_wave,
            0,
            1,
        )
    )
    return (
        _rgb("hair", hair)
        | _rgb("brow", brow)
        | _rgb("beard", beard)
        | {
            "hair_length": float(length),
            "hair_fringe": float(fringe),
            "hair_volume": float(np.clip(0.45 + 0.22 * now.hair_volume + 0.5 * curl, 0.05, 1.4)),
            "hair_part": float(now.hair_part),
            "hair_curl": curl,
            "hairline": 66.0 + 5.0 * who["hairline_height"] - 2.0 * (1 - male),
            "recede": max(0.0, 4.0 + 4.5 * who["hairline_recede"]) * (0.35 + 0.65 * male)
            + 22.0 * bald,
            "widow": 2.5 * max(0.0, who["widow_peak"]),
            "bald": bald,
            "shadow": male
            * float(np.clip(0.22 + 0.12 * who["beard_dense"] + 0.10 * now.beard_change, 0.0, 0.6))
            * (1 - 0.6 * beard_grey)
            * (1 - 0.7 * fair),
            "beard_full": float(np.clip(growth / 0.8, 0.0, 1.0)),
            "beard_cheek": float(np.clip(0.5 + 0.3 * who["beard_cheek"], 0.0, 1.0)),
            "moustache": float(
                male * np.clip((growth + 0.5 + 0.45 * who["beard_dense"]) / 0.6, 0.0, 1.0)
            ),
            "beard_dense": float(np.clip(0.75 + 0.15 * who["beard_dense"], 0.3, 1.0)),
            "grey": float(grey),
        }
    )


def _worn(who: Identity, now: Nuisance) -> Row:
    wears = who["habit_glasses"] + 0.018 * (now.age - 40) > 1.0
    if now.glasses_change:
        wears = not wears if now.glasses_draw < 0.5 else wears
    kind = 0.0
    if wears:
        kind = 1.0 if now.glasses_draw % 0.5 < 0.34 else 2.0
    if now.glasses_change and now.glasses_draw > 0.93:
        kind = 3.0
    return (
        _rgb("clothes", now.clothes)
        | _rgb("mask", now.mask_colour)
        | _rgb("hat", now.hat_colour)
        | _rgb("frame", now.glasses_colour)
        | {
            "glasses": kind,
            "glasses_size": float(np.clip(now.glasses_size, -1.5, 1.5)),
            "mask": now.mask,
            "hat": now.hat,
            "collar": now.collar,
        }
    )


def _light(now: Nuisance) -> Row:
    turn = np.deg2rad(now.yaw)
    ahead = np.array([np.sin(turn), 0.0, np.cos(turn)])
    reach = np.clip(now.light_from @ ahead, 0.0, 1.0)
    row = _rgb("sky", now.sky) | _rgb("ground", now.ground)
    row |= _rgb("teeth", 0.55 * now.sky + 0.75 * (now.light_colour * reach[:, None]).sum(axis=0))
    # Halfway between each lamp and the viewer, who is far away along z.
    half = now.light_from + np.array([0.0, 0.0, 1.0])
    half = half / np.maximum(np.sqrt((half * half).sum(axis=1, keepdims=True)), 1e-3)
    for k in range(LIGHTS):
        row |= _rgb(f"light{k}", now.light_colour[k])
        row[f"soft{k}"] = float(now.light_soft[k])
        for a, axis in enumerate("xyz"):
            row[f"light{k}_{axis}"] = float(now.light_from[k, a])
            row[f"half{k}_{axis}"] = float(half[k, a])
    return row


def _rgb(name: str, colour: NDArray[np.float64]) -> Row:
    return {f"{name}_{c}": float(v) for c, v in zip("rgb", colour, strict=True)}


def _along(stops: NDArray[np.float64], position: float) -> NDArray[np.float64]:
    """A colour at `position` in [0, 1] along evenly spaced stops, blended in the logarithm."""
    place = float(position) * (len(stops) - 1)
    cell = min(int(place), len(stops) - 2)
    share = place - cell
    return np.asarray(np.exp((1 - share) * np.log(stops[cell]) + share * np.log(stops[cell + 1])))
