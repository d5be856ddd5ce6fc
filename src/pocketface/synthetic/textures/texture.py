"""What a class of images is: a pattern with its colours, and perhaps the outline of a figure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError
from pocketface.synthetic.textures.lattice import Map
from pocketface.synthetic.textures.patterns import KINDS, Pattern, draw_pattern

COLOURS = 3
"""Of a pattern: for the values 0, a half and 1."""

HARMONICS = 5
"""An outline is a circle with waves of 2, 3, 4, 5 and 6 to the turn."""

_PURPOSES = {"class": 1, "image": 2}


@dataclass(frozen=True)
class Texture:
    """A class of images.

    Attributes:
        pattern: what fills the image, or the figure.
        palette: float32 (3, 3), linear RGB in [0, 1] for the values 0, a half and 1.
        outline: complex64 (5,), the waves of the figure's outline; None: the pattern fills the
            image.
    """

    pattern: Pattern
    palette: npt.NDArray[np.float32]
    outline: npt.NDArray[np.complex64] | None


def stream(seed: int, purpose: str, texture: int, image: int = 0) -> np.random.Generator:
    """The random stream for "class" or "image" of one class and image: each has its own.

    Raises DataError for a number outside of [0, 2^32).
    """
    for name, value in (("seed", seed), ("class", texture), ("image", image)):
        if not 0 <= value < 2**32:
            raise DataError(f"{name} must lie in [0, 2^32), got {value}.")
    key = np.random.SeedSequence([seed, _PURPOSES[purpose], texture, image])
    return np.random.Generator(np.random.Philox(key))


def draw_texture(seed: int, number: int) -> Texture:
    """Give the class `number` of `seed`; always the same one.

    The kinds of pattern take turns, and so do images that are all pattern and figures on a ground.
    """
    kinds = list(KINDS)
    rng = stream(seed, "class", number)
    pattern = draw_pattern(rng, kinds[number % len(kinds)])
    palette = draw_palette(rng)
    figure = number // len(kinds) % 2 == 1
    return Texture(pattern, palette, draw_outline(rng) if figure else None)


def draw_palette(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw the colours of a pattern, as `Texture.palette`: no two of the same lightness."""
    colours = rng.uniform(0.1, 0.9, (COLOURS, 3))
    lightness = rng.permutation([0.15, 0.45, 0.8])[:, None]
    shifted = colours + lightness - colours.mean(axis=1, keepdims=True)
    palette: npt.NDArray[np.float32] = shifted.clip(0, 1).astype(np.float32)
    return palette


def draw_outline(rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Draw the waves of an outline, the higher the lower."""
    heights = rng.normal(0, 0.28 / np.sqrt(np.arange(1, HARMONICS + 1)))
    phases = rng.uniform(0, 2 * np.pi, HARMONICS)
    outline: npt.NDArray[np.complex64] = (heights * np.exp(1j * phases)).astype(np.complex64)
    return outline


def radius(outline: npt.NDArray[np.complex64], angle: Map) -> Map:
    """The outline's distance from its middle in each direction; about 1, at least 0.3."""
    total = np.ones_like(angle)
    turn = np.exp(1j * angle).astype(np.complex64)
    power = turn
    for wave in outline:
        power = power * turn
        total += (wave * power).real
    return np.maximum(total, np.float32(0.3))
