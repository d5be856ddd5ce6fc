"""Confidence intervals: how the figures would vary had other people been photographed.

Pairs that share a person are not independent, so people are drawn, not pairs (our choice): a
replicate draws as many people as there are, with replacement; a pair of two people counts as
often as the product of their draws, a pair of one person as often as that person was drawn.
Where nobody knows who is on the images, pairs are drawn instead, and intervals come out narrower
than they should. Intervals are percentiles over the replicates.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.95
"""Share of the replicates that an interval holds."""


def person_weights(
    left: Ints, right: Ints, replicates: int, generator: np.random.Generator
) -> Iterator[Floats]:
    """Weights of the pairs in each replicate, float64 (P,), drawing people.

    `left` and `right` are int64 (P,), the people of each pair, numbered from 0.
    """
    people, numbers = np.unique(np.concatenate([left, right]), return_inverse=True)
    first, second = numbers[: len(left)], numbers[len(left) :]
    one_person = first == second
    for _ in range(replicates):
        draws = np.bincount(
            generator.integers(len(people), size=len(people)), minlength=len(people)
        ).astype(np.float64)
        yield np.where(one_person, draws[first], draws[first] * draws[second])


def pair_weights(pairs: int, replicates: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Weights of the pairs in each replicate, float64 (P,), drawing pairs."""
    for _ in range(replicates):
        draws = generator.integers(pairs, size=pairs)
        yield np.bincount(draws, minlength=pairs).astype(np.float64)


def interval(values: Floats, level: float = LEVEL) -> tuple[float, float] | None:
    """The central `level` of a figure's replicates (R,), or None if none has a finite value.

    A replicate that drew no pair of a kind has no figure, and is left out.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
