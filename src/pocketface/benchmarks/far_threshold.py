"""The threshold for a wanted FAR, and how far off it may be."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import interval, pair_weights, person_weights
from pocketface.benchmarks.margins import low_far_warning
from pocketface.benchmarks.roc import RocTally
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FarThreshold:
    """'Same person' if the similarity reaches `similarity`; rates are those of the pairs measured.

    Attributes:
        far: aimed at.
        measured_far, tar: got.
        similarity: the threshold.
        ends: its interval over bootstrap replicates, None without them.
        warning: if too few pairs of two people stand behind it.
    """

    far: float
    measured_far: float
    tar: float
    similarity: float
    ends: tuple[float, float] | None
    warning: str | None


def far_thresholds(
    similarity: Floats,
    same: npt.NDArray[np.bool_],
    fars: list[float],
    sides: tuple[Ints, Ints] | None,
    *,
    replicates: int,
    seed: int,
) -> list[FarThreshold]:
    """The threshold of the largest TAR for each of `fars`, over all pairs.

    `similarity` is float64 (P,), `same` bool (P,), `sides` the people of each pair, int64 (P,)
    twice, or None where nobody knows them: then replicates draw pairs. Raises DataError if a FAR
    allows no pair of two people to pass, or has no threshold.
    """
    impostors = int((~same).sum())
    tally = RocTally(similarity, same)
    roc = tally.curve()
    for far in fars:
        if far * impostors < 1:
            raise DataError(
                f"a FAR of {far:g} needs at least {round(1 / far):,} pairs of two people; these "
                f"are {impostors:,}, enough for {1 / impostors:.1g}. Give more people, or a "
                "larger --far."
            )
    generator = np.random.default_rng(seed)
    weights = (
        pair_weights(len(same), replicates, generator)
        if sides is None
        else person_weights(*sides, replicates, generator)
    )
    drawn = np.full((replicates, len(fars)), np.nan)
    for number, weight in enumerate(weights):
        curve = tally.curve(weight)
        for column, far in enumerate(fars):
            if (index := curve.index_at(far)) >= 0:
                found = curve.threshold_at(index)
                drawn[number, column] = np.nan if found is None else found
    thresholds = []
    for column, far in enumerate(fars):
        index = roc.index_at(far)
        threshold = roc.threshold_at(index)
        if threshold is None:
            raise DataError(
                f"a FAR of {far:g} has no threshold: more pairs of two people have similarity 1 "
                "than it allows. Are images of one person in two people's folders?"
            )
        measured = float(roc.far[index])
        thresholds.append(
            FarThreshold(
                far=far,
                measured_far=measured,
                tar=float(roc.tar[index]),
                similarity=threshold,
                ends=interval(drawn[:, column]),
                warning=low_far_warning(far, round(measured * impostors), impostors),
            )
        )
    return thresholds
