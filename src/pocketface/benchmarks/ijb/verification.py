"""The 1:1 protocol: how many pairs of one person are accepted at a wanted FAR.

The rule is the published one: TAR at the point of the ROC whose false positive rate is nearest to
the wanted one, and the larger TAR on ties. All points count, also those on a straight line
between others; leaving them out moves 'nearest'. 'Nearest' is decided in whole numbers, where
the published script's rounded numbers leave a tie to chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pocketface.benchmarks.ijb.scores import TemplateScores

FARS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1")
"""The false accept rates of the protocol, as text: a tenth is no binary fraction."""

_POINTS_PER_DECADE = 24


@dataclass(frozen=True)
class RatePoint:
    """A point of the ROC.

    Attributes:
        accepted: how many pairs of two people are accepted.
        tar: the largest share of pairs of one person that can be accepted with so many.
        similarity: a threshold that gives both, within [-1, 1]; None where there is no such
            number, because a pair that must be rejected has similarity 1.
    """

    accepted: int
    tar: float
    similarity: float | None


def nearest_points(scores: TemplateScores, fars: Sequence[str] = FARS) -> dict[str, RatePoint]:
    """`nearest_point` for each of `fars`."""
    scores.prepare(max(1, math.ceil(Fraction(far) * scores.impostors)) for far in fars)
    return {far: nearest_point(scores, far) for far in fars}


def nearest_point(scores: TemplateScores, far: str) -> RatePoint:
    """The point whose FAR is nearest to `far`, which is a decimal number."""
    wanted = Fraction(far) * scores.impostors
    found = scores.impostor(max(1, math.ceil(wanted)))
    # No point accepts a number of impostors between these two.
    below, beyond = found.above, found.reaching
    return rate_point(scores, beyond if beyond - wanted <= wanted - below else below)


def rate_point(scores: TemplateScores, accepted: int) -> RatePoint:
    """The best point that accepts `accepted` impostor pairs; that many must be possible."""
    rejected = scores.impostor(accepted + 1).value if accepted < scores.impostors else -math.inf
    genuine = scores.genuine_above(rejected)
    lowest = scores.impostor(accepted).value if accepted else math.inf
    if genuine:
        lowest = min(lowest, float(scores.genuine[len(scores.genuine) - genuine]))
    return RatePoint(accepted, genuine / len(scores.genuine), _between(rejected, min(lowest, 1.0)))


def curve(scores: TemplateScores) -> list[RatePoint]:
    """Points evenly spaced in the logarithm of the FAR, from none accepted to all."""
    decades = math.log10(scores.impostors)
    ranks = np.geomspace(1, scores.impostors, max(2, math.ceil(_POINTS_PER_DECADE * decades) + 1))
    wanted = np.unique(np.rint(ranks).astype(np.int64)).tolist()
    scores.prepare(wanted)
    counts = {0, scores.impostors, *(scores.impostor(rank).reaching for rank in wanted)}
    return [rate_point(scores, count) for count in sorted(counts)]


def _between(rejected: float, accepted: float) -> float | None:
    """A threshold that keeps both apart however another runtime rounds."""
    if rejected >= accepted:
        return None
    middle = (max(rejected, -1.0) + accepted) / 2
    return middle if middle > rejected else accepted
