"""The part of a nuisance that has nothing to do with a person: light, background, camera.

Each function takes an iterator of standard normal numbers and one of uniform numbers, draws as many
of them whatever comes out, and returns fields of a `Nuisance`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketface.synthetic.nuisance import NuisanceRanges

Numbers = Iterator[float]

LIGHTS = 3
"""Lamps of a scene."""

BLOBS = 5
"""Soft shapes of a background, at most."""


def draw_light(n: Numbers, u: Numbers, strength: float) -> dict[str, Any]:
    """A key light, a fill light and a light from behind, over a soft sky.

    `strength` scales how far the key light leaves the middle.
    """
    warm = 0.12 * next(n)
    key_turn, key_height = 45 * next(n) * strength, 28 + 22 * next(n)
    flash = next(u) < 0.35
    if flash:
        key_turn, key_height = 0.25 * key_turn, 12 + 8 * next(n)
    else:
        next(n)
    fill_turn, fill_height = (120 * next(u) - 60), 40 * next(u) - 10
    back_turn, back_height = 180 + 55 * next(n), 30 + 20 * next(n)
    hardness = 0.5 + 0.5 * next(u)
    total = 1.0
    key = total * hardness
    sky = total * (1 - hardness) * 0.9 + 0.10
    tone = np.array([1 + warm, 1.0, 1 - warm])
    sky_tone = np.array([1 - 0.5 * warm, 1.0, 1 + 0.5 * warm]) * np.exp(
        0.05 * np.array([next(n), next(n), next(n)])
    )
    fill = 0.35 * next(u) * total
    back = max(0.0, 0.5 * next(n) - 0.1)
    directions = np.array(
        [
            _towards(t, h)
            for t, h in ((key_turn, key_height), (fill_turn, fill_height), (back_turn, back_height))
        ]
    )
    colours = np.stack([key * tone, fill * tone[::-1], back * sky_tone])
    # Photographers expose for the face: what falls on its front is brought to one level.
    front = 0.75 * sky + float(
        (colours.mean(axis=1) * np.maximum(directions[:, 2] + 0.15, 0)).sum()
    )
    level = 1.0 / front
    return {
        "sky": level * sky * sky_tone,
        "ground": level * sky * sky_tone * (0.35 + 0.45 * next(u)),
        "light_from": directions,
        "light_colour": level * colours,
        "light_soft": np.array([0.1 + 0.5 * next(u), 0.5, 0.2]),
        "shine": 0.1 + 0.9 * next(u) ** 2,
    }


def draw_backdrop(n: Numbers, u: Numbers, rng: np.random.Generator) -> dict[str, Any]:
    """Two wall colours in display values and a handful of soft shapes in front of the wall."""
    level = 0.85 * next(u) ** 1.3
    vivid = 0.04 + 0.35 * next(u) ** 3
    wall = np.array([level * np.exp(vivid * next(n)) for _ in range(3)])
    other = np.array([level * np.exp(vivid * next(n)) for _ in range(3)]) + 0.2 * next(n)
    place, shade = rng.random((BLOBS, 6)), 0.9 * rng.random((BLOBS, 1)) ** 1.4
    chroma = np.clip(rng.standard_normal((BLOBS, 3)), -3.0, 3.0)
    blobs = np.concatenate(
        [
            2.2 * place[:, :2] - 1.1,
            np.pi * place[:, 2:3],
            0.15 + 0.5 * place[:, 3:4],
            0.3 + 3.0 * place[:, 4:5] ** 2,
            0.15 + 0.5 * place[:, 5:6],
            np.clip(shade * np.exp(vivid * chroma), 0, 1),
        ],
        axis=1,
    )
    blobs[int(next(u) * (BLOBS + 1)) :, 3] = 0.0
    return {
        "backdrop": np.clip(np.stack([wall, other]), 0.0, 1.0),
        "blobs": blobs,
        "clutter": 0.35 * next(u) ** 2,
    }


def draw_camera(n: Numbers, u: Numbers, r: "NuisanceRanges") -> dict[str, Any]:
    """Exposure, colour and what the file went through."""
    cast = 0.07 * r.tint * np.array([next(n), 0.5 * next(n), next(n)])
    return {
        "exposure": r.exposure.at(next(n)),
        "contrast": 1.16 * float(np.exp(0.14 * next(n))),
        "saturation": float(np.exp(0.2 * next(n))),
        "tint": np.exp(cast + np.array([0.05, -0.05, -0.13])),
        "grey": float(next(u) < r.chance_grey),
        "blur": r.blur.at(next(n)),
        "resolution": r.resolution.at(next(n)),
        "noise": r.noise.at(next(n)),
        "jpeg": r.jpeg.at(next(n)),
    }


def _towards(turn: float, height: float) -> NDArray[np.float64]:
    """The unit vector towards a light `turn` degrees to the right and `height` degrees up."""
    a, b = np.deg2rad(turn), np.deg2rad(height)
    return np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
