"""One person under two names: people whose templates are far more alike than two people's are.

The similarities of all pairs of people are taken for a normal distribution, by their median and
their median absolute deviation, which a few double names do not move. A pair is reported if it is
so similar that among all pairs only `EXPECTED` such pairs would be expected of two people. The rule
is ours; brothers and sisters, and a network that is weak on a kind of people, raise false alarms.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.embedding.unit import quick_products

Units = npt.NDArray[np.float32]

EXPECTED = 0.01
"""How many pairs of two people, of all of them, would be as similar by chance."""

ENOUGH = 5
"""With fewer people nothing is known of how similar two people are."""

_SAMPLE = 2000
_STRIP = 1 << 22


class TwoNames(NamedTuple):
    """Rows of two people that may be one, `left` < `right`, and how similar they are."""

    left: int
    right: int
    similarity: float


class Suspicion(NamedTuple):
    """The pairs, the most similar first, and the similarity from which on they are reported.

    `limit` is None where too few people are there to tell.
    """

    pairs: list[TwoNames]
    limit: float | None


def two_names(templates: Units) -> Suspicion:
    """Pairs of people who may be one; `templates` is float32 (P, D), a unit row a person."""
    count = len(templates)
    if count < ENOUGH:
        return Suspicion([], None)
    limit = similarity_limit(templates)
    found = []
    step = max(1, _STRIP // count)
    for start in range(0, count, step):
        similarity = quick_products(templates[start : start + step], templates[start:].T)
        for row, column in zip(*np.nonzero(similarity >= limit), strict=True):
            if row < column:
                value = float(similarity[row, column])
                found.append(TwoNames(start + int(row), start + int(column), value))
    return Suspicion(sorted(found, key=lambda pair: -pair.similarity), limit)


def similarity_limit(templates: Units) -> float:
    """The similarity that two of these people would reach with an expectation of `EXPECTED`.

    Of more than 2,000 people that many, evenly spaced, stand for all.
    """
    count = len(templates)
    rows = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).round().astype(np.int64))
    sample = templates[rows]
    pairs = np.triu_indices(len(sample), 1)
    values = quick_products(sample, sample.T)[pairs].astype(np.float64)
    middle = float(np.median(values))
    # The deviation of a normal distribution whose median absolute deviation this is.
    deviation = float(np.median(np.abs(values - middle))) / NormalDist().inv_cdf(0.75)
    all_pairs = count * (count - 1) / 2
    return middle - deviation * NormalDist().inv_cdf(min(EXPECTED / all_pairs, 0.5))
