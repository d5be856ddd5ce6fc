"""What a handful of seeds says: means, paired differences, and which of them are noise.

Two arms are compared seed by seed, since the runs of one seed share its draws. The interval of a
mean over n seeds is Student's, with n - 1 degrees of freedom: it says where the mean would lie if
the same runs were repeated with very many seeds, on these test images. Where several arms are
held against one baseline, their p values are corrected after Holm (1979), so that the chance of
calling any mere noise a difference stays at 5 %.
"""

import bisect
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pocketface.benchmarks.bootstrap import LEVEL
from pocketface.compare.student_t import bound_within, two_sided_p

FEWEST = 3
"""Seeds below which no difference is judged."""

_CHANCE = round(1 - LEVEL, 9)
"""Of calling noise a difference."""

_MOST_SEEDS = 1000

_ROUNDING = 1e-12
"""Equal numbers may have a standard deviation of rounding errors, relative to their mean."""

Verdict = Literal["higher", "lower", "these people only", "noise", "too few seeds"]
"""On a difference; "these people only" holds over seeds, but perhaps not for other test people."""


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        sd: standard deviation (n - 1), None for one seed.
        seeds: n.
        low, high: Student's interval of the mean; None for one seed, and where all values are the
            same number other than 0: then nothing is known of their spread.
    """

    mean: float
    sd: float | None
    seeds: int
    low: float | None
    high: float | None


def spread_of(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and interval of values, one a seed; at least one value."""
    mean = statistics.fmean(values)
    count = len(values)
    if count < 2:
        return Spread(mean, None, count, None, None)
    sd = statistics.stdev(values)
    if sd <= _ROUNDING * abs(mean) and mean != 0:
        return Spread(mean, 0.0, count, None, None)
    half = bound_within(LEVEL, count - 1) * sd / math.sqrt(count)
    return Spread(mean, sd, count, mean - half, mean + half)


def p_value(difference: Spread) -> float | None:
    """The two-sided p value of a mean difference, by the paired t test.

    None where the seeds are fewer than `FEWEST`, or the spread has no interval.
    """
    if difference.seeds < FEWEST or not difference.sd:
        return 1.0 if difference.seeds >= FEWEST and difference.mean == 0 else None
    t = difference.mean / (difference.sd / math.sqrt(difference.seeds))
    return two_sided_p(t, difference.seeds - 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p values corrected for one another after Holm; None stays None and is not counted.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may be smaller than
    the one before it, or exceed 1.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def verdict(
    difference: Spread, corrected: float | None, people: tuple[float, float] | None
) -> Verdict:
    """What may be said of a difference.

    Args:
        difference: over the seeds.
        corrected: its p value after Holm.
        people: the interval of the same difference over test people, None if not known.
    """
    if corrected is None:
        return "too few seeds"
    if corrected >= _CHANCE:
        return "noise"
    if people is not None and people[0] <= 0 <= people[1]:
        return "these people only"
    return "higher" if difference.mean > 0 else "lower"


def seeds_needed(difference: Spread) -> int | None:
    """About how many seeds would tell a difference of this size and spread from 0.

    The smallest n, at least `FEWEST`, whose interval with the same mean and deviation leaves 0
    out; None where that is unknown, or more than a thousand.
    """
    if not difference.sd or difference.mean == 0:
        return None
    ratio = abs(difference.mean) / difference.sd
    # The interval narrows with every seed, so the fewest can be found by halving.
    counts = range(FEWEST, _MOST_SEEDS + 1)
    place = bisect.bisect_left(
        counts,
        True,
        key=lambda count: bound_within(LEVEL, count - 1) / math.sqrt(count) < ratio,
    )
    return counts[place] if place < len(counts) else None
