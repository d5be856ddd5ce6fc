"""Who a synthetic person is: the coefficients that never change from picture to picture."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketface.errors import DataError
from pocketface.synthetic.modes import IDENTITY_SHAPE

SHAPE: tuple[str, ...] = tuple(IDENTITY_SHAPE)
"""Coefficients that bend the mesh."""

LOOK: tuple[str, ...] = (
    # Skin.
    *("melanin", "skin_red", "skin_yellow", "cheek_red", "eye_shadow", "blotch", "freckles"),
    *("mole_a_x", "mole_a_y", "mole_a_size", "mole_b_x", "mole_b_y", "mole_b_size"),
    # Lips, brows, eyes.
    *("lip_red", "lip_dark", "upper_lip_height", "lower_lip_height", "cupid_bow"),
    *("brow_thick", "brow_length", "brow_arch", "brow_gap", "brow_tilt", "brow_dense", "brow_dark"),
    *("iris_dark", "iris_hue", "eye_open", "lid_peak", "lid_crease", "lash"),
    # Hair, where it grows and what colour it has.
    *("hair_dark", "hair_red", "hair_curl", "hairline_height", "hairline_recede", "widow_peak"),
    *("beard_dense", "beard_cheek"),
    # How the person ages.
    *("grey_early", "bald_early", "wrinkle_early", "sag_early", "weight_gain"),
    # What the person is used to; a picture may differ.
    *("habit_length", "habit_fringe", "habit_beard", "habit_glasses"),
)
"""Coefficients of colour, hair, ageing and habit."""

COEFFICIENTS: tuple[str, ...] = SHAPE + LOOK
LIMIT = 2.3
"""Coefficients are standard normal, redrawn beyond this many standard deviations."""

_STEP = 2.0**-12
_INDEX = {name: i for i, name in enumerate(COEFFICIENTS)}


@dataclass(frozen=True)
class Identity:
    """One person.

    `coefficients` float64 (K,) in the order of `COEFFICIENTS`, each standard normal, within
    +-`LIMIT`, a multiple of 2^-12; `skin_offset` int64 (2,): where the person's skin lies on the
    plate of blotches and freckles.
    """

    coefficients: NDArray[np.float64]
    skin_offset: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.coefficients.shape != (len(COEFFICIENTS),):
            raise DataError(
                f"an identity has {len(COEFFICIENTS)} coefficients, got an array of shape "
                f"{self.coefficients.shape}. Draw one with Population.person."
            )

    def __getitem__(self, name: str) -> float:
        """The coefficient called `name`."""
        return float(self.coefficients[_INDEX[name]])

    @property
    def shape(self) -> NDArray[np.float64]:
        """The coefficients of the mesh, float64 (len(SHAPE),)."""
        return self.coefficients[: len(SHAPE)]


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw a person from a random stream of its own."""
    values = rng.standard_normal(len(COEFFICIENTS))
    outside = np.abs(values) > LIMIT
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > LIMIT
    values = np.round(values / _STEP) * _STEP
    return Identity(values, rng.integers(0, 256, 2, dtype=np.int64))


def dimorphism(identity: Identity) -> float:
    """The coefficient pushed to two groups, as women (< 0) and men are."""
    value = identity["dimorphism"]
    return math.copysign(0.55, value) + 0.45 * value
