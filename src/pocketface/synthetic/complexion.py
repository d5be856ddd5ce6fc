"""What a person's coefficients mean at an age: colours, hair, eyes, brows, lips in mm.

Nothing of a picture's circumstances enters here, so two pictures of a person at one age share all
of it. Colours are linear RGB in [0, 1]. The figures are ours.
"""

import math

from pocketface.synthetic.ageing import baldness, grey_share, wrinkles
from pocketface.synthetic.identity import Identity, dimorphism

Row = dict[str, float]
Colour = tuple[float, float, float]

# From light to dark skin, black to fair hair, brown to blue eyes: stops along one axis each.
_SKIN = (
    (0.76, 0.47, 0.36),
    (0.63, 0.355, 0.245),
    (0.43, 0.21, 0.13),
    (0.21, 0.09, 0.052),
    (0.095, 0.04, 0.024),
)
_HAIR = (
    (0.008, 0.007, 0.0065),
    (0.016, 0.011, 0.009),
    (0.045, 0.026, 0.016),
    (0.12, 0.068, 0.036),
    (0.32, 0.205, 0.10),
    (0.5, 0.37, 0.21),
)
_IRIS = (
    (0.03, 0.015, 0.008),
    (0.075, 0.036, 0.015),
    (0.10, 0.085, 0.045),
    (0.11, 0.15, 0.17),
    (0.18, 0.24, 0.30),
)
GREY: Colour = (0.36, 0.36, 0.355)
"""Grey hair, half way to white."""


def complexion(who: Identity, age: float) -> Row:
    """Named figures of one person at `age` years."""
    male = 1.0 if dimorphism(who) > 0 else 0.0
    dark = _limit(0.28 + 0.21 * who["melanin"] + 0.03 * male)
    row: Row = {"male": male, "wrinkles": wrinkles(who, age)}
    return (
        row | _skin(who, dark) | _eyes(who, male) | _mouth(who, age, male) | _hair(who, age, male)
    )


def hair_colour(fair: float) -> Colour:
    """Hair from black (0) to fair (1)."""
    return _along(_HAIR, fair)


def rgb(name: str, colour: Colour) -> Row:
    """A colour as three figures, `name`_r, `name`_g, `name`_b."""
    return {f"{name}_r": colour[0], f"{name}_g": colour[1], f"{name}_b": colour[2]}


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour, the rest of the first."""
    a, b = first, second
    return (
        a[0] + share * (b[0] - a[0]),
        a[1] + share * (b[1] - a[1]),
        a[2] + share * (b[2] - a[2]),
    )


def scaled(colour: Colour, red: float, green: float, blue: float) -> Colour:
    """Each channel times e to the power given for it."""
    return colour[0] * math.exp(red), colour[1] * math.exp(green), colour[2] * math.exp(blue)


def _skin(who: Identity, dark: float) -> Row:
    red, yellow = who["skin_red"], who["skin_yellow"]
    skin = scaled(
        _along(_SKIN, dark), 0.03 * red, 0.01 * yellow - 0.05 * red, -0.03 * red - 0.08 * yellow
    )
    row = rgb("skin", skin) | {
        "rosy": 0.22 * (1 - 0.6 * dark),
        "cheek_red": 0.6 + 0.55 * who["cheek_red"],
        "eye_shadow": max(0.0, 0.24 + 0.10 * who["eye_shadow"]),
        "blotch": 0.035 + 0.014 * who["blotch"],
        "freckles": 0.6 * max(0.0, who["freckles"] - 0.8) * max(0.0, 1 - 2.0 * dark),
        "skin_row": float(who.skin_offset[0]),
        "skin_column": float(who.skin_offset[1]),
        "fold": max(0.0, 0.35 + 0.18 * who["cheek_fold"]),
    }
    for mole, least in (("mole_a", 0.2), ("mole_b", 0.7)):
        row[f"{mole}_x"] = 19.0 * who[f"{mole}_x"]
        row[f"{mole}_y"] = -30.0 + 32.0 * who[f"{mole}_y"]
        row[f"{mole}_size"] = 1.7 * max(0.0, who[f"{mole}_size"] - least)
    row["moles"] = max(row["mole_a_size"], row["mole_b_size"]) - 0.35
    return row


def _eyes(who: Identity, male: float) -> Row:
    pale = _limit(0.42 - 0.26 * who["iris_dark"] - 0.28 * who["melanin"] - 0.08 * who["hair_dark"])
    hue = who["iris_hue"]
    return rgb("iris", scaled(_along(_IRIS, pale), -0.06 * hue, 0.05 * hue, 0.10 * hue)) | {
        "lid_up": 5.9 + 0.85 * who["eye_open"] - 0.3 * male,
        "lid_low": 3.9 + 0.35 * who["eye_open"],
        "lid_peak": 0.22 * who["lid_peak"],
        "crease": 3.4 + 1.1 * who["lid_crease"],
        "crease_depth": _limit(0.5 + 0.3 * who["lid_crease"], 0, 0.9),
        "lash": max(0.2, 0.75 + 0.25 * who["lash"]),
        "brow_half": max(1.4, 2.8 + 0.75 * who["brow_thick"] + 1.1 * male),
        "brow_in": 10.5 + 2.2 * who["brow_gap"],
        "brow_out": 51.0 + 2.2 * who["brow_length"],
        "brow_y": 17.0 - 1.4 * male,
        "brow_arch": 3.9 + 1.5 * who["brow_arch"] - 0.9 * male,
        "brow_tilt": 1.6 * who["brow_tilt"] + 2.0,
        "brow_dense": _limit(0.74 + 0.14 * who["brow_dense"] + 0.1 * male, 0.2, 1.0),
    }


def _mouth(who: Identity, age: float, male: float) -> Row:
    red, dark = who["lip_red"], 0.12 * who["lip_dark"]
    skin = _along(_SKIN, _limit(0.28 + 0.21 * who["melanin"]))
    lips = (0.76 * skin[0], 0.57 * skin[1], 0.60 * skin[2])
    thin = 1.0 - 0.12 * max(0.0, (age - 45) / 30)
    upper = 5.9 + 1.25 * who["upper_lip_height"] + 0.5 * who["upper_lip_full"] - 0.5 * male
    lower = 7.8 + 1.4 * who["lower_lip_height"] + 0.5 * who["lower_lip_full"] - 0.4 * male
    return rgb("lips", scaled(lips, 0.02 * red - dark, -0.10 * red - dark, -0.07 * red - dark)) | {
        "lip_up": upper * thin,
        "lip_low": lower * thin,
        "cupid": 1.1 + 0.7 * who["cupid_bow"],
        "mouth_half": 27.5,
    }


def _hair(who: Identity, age: float, male: float) -> Row:
    fair = _limit(0.41 - 0.21 * who["hair_dark"] - 0.30 * who["melanin"] - 0.05 * male)
    red = min(max(who["hair_red"] - 0.6, 0.0), 2.0) * fair
    young = scaled(_along(_HAIR, fair), 0.9 * red, 0.1 * red, -0.5 * red)
    grey = grey_share(who, age)
    bald = baldness(who, age, male)
    beard_grey = min(1.0, 1.5 * grey)
    brow = mix(
        _times(young, 0.7 * math.exp(-0.25 * who["brow_dark"])), _times(GREY, 0.7), 0.6 * grey
    )
    return (
        rgb("young_hair", young)
        | rgb("hair", mix(young, _times(GREY, 0.6 + 0.9 * grey), grey))
        | rgb("brow", brow)
        | rgb("beard", mix(young, _times(GREY, 0.7 + 0.7 * grey), beard_grey))
        | {
            "grey": grey,
            "bald": bald,
            "curl": 0.12 + 0.35 * who["hair_curl"] + 0.3 * max(0.0, who["melanin"]),
            "hairline": 64.0 + 5.0 * who["hairline_height"] + 2.0 * male,
            "recede": max(0.0, 4.0 + 4.5 * who["hairline_recede"]) * (0.35 + 0.65 * male)
            + 22.0 * bald,
            "widow": 2.5 * max(0.0, who["widow_peak"]),
            "beard_cheek": _limit(0.5 + 0.3 * who["beard_cheek"]),
            "beard_dense": _limit(0.75 + 0.15 * who["beard_dense"], 0.3, 1.0),
            "shadow": (0.22 + 0.12 * who["beard_dense"])
            * male
            * (1 - 0.6 * beard_grey)
            * (1 - 0.7 * fair),
        }
    )


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _limit(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(max(value, low), high)


def _along(stops: tuple[Colour, ...], position: float) -> Colour:
    """A colour at `position` in [0, 1] along evenly spaced stops, blended in the logarithm."""
    place = position * (len(stops) - 1)
    cell = min(int(place), len(stops) - 2)
    share = place - cell
    red, green, blue = (
        math.exp((1 - share) * math.log(a) + share * math.log(b))
        for a, b in zip(stops[cell], stops[cell + 1], strict=True)
    )
    return red, green, blue
