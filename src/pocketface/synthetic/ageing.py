"""One person's way through the years: how much of each age mode, of grey, wrinkles and baldness.

The mean course is ours; the person's coefficients move it by years. Nothing random is drawn here:
one person at one age always looks the same.
"""

import numpy as np
from numpy.typing import NDArray

from pocketface.synthetic.identity import Identity


def age_weights(identity: Identity, age: float) -> NDArray[np.float64]:
    """Weights at `age` years of sag, gaunt, heavy, eye_bags and youth, float64 (5,)."""
    sag_years = age - 40 + 7 * identity["sag_early"]
    weight = identity["weight_gain"]
    grown = _rise(age, 38, 14)
    return np.array(
        [
            np.clip(sag_years / 30, -0.4, 1.4),
            _rise(age, 66, 9) * (0.6 - 0.5 * weight) + max(0.0, -0.45 * weight) * grown,
            max(0.0, 0.25 + 0.55 * weight) * grown,
            max(0.0, _rise(sag_years + 40, 50, 9) + 0.25 * identity["eye_shadow"]),
            1.25 * _rise(-age, -17, 2.6),
        ]
    )


def wrinkles(identity: Identity, age: float) -> float:
    """Depth of the lines of age, 0 (none) to about 1.3."""
    return float(1.3 * _rise(age + 6 * identity["wrinkle_early"], 55, 10))


def grey_share(identity: Identity, age: float) -> float:
    """Share of grey hair, 0 to 1."""
    return float(_rise(age + 8 * identity["grey_early"], 56, 6))


def baldness(identity: Identity, age: float, male: float) -> float:
    """Progress of male baldness, 0 to 1."""
    return float(male * _rise(age + 14 * identity["bald_early"], 62, 11))


def _rise(value: float, middle: float, width: float) -> float:
    """The logistic curve."""
    return float(1 / (1 + np.exp(-(value - middle) / width)))
