"""TAR at a low FAR, from all genuine pairs and the tail of the impostor pairs.

Ordered pairs of one person are genuine, every probe with every distractor is an impostor pair
(our definition; the devkit's own is closed). The threshold of a FAR is the best similarity at
which more impostor pairs than allowed would pass; a pair is accepted above it. So TAR is the
largest for a FAR that does not exceed the one aimed at, whatever ties there are.

Shapes: R replicates, G people.
"""

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.megaface.impostor_tail import ImpostorTail

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROTOCOL_FARS = (1e-6, 1e-5)
"""The FARs of the protocol."""

FARS = (*PROTOCOL_FARS, 1e-4, 1e-3, 1e-2)
"""All FARs that are measured, as far as a set's size lets them be."""

_MOST_ACCEPTED = 50_000
"""A FAR that accepts more impostor pairs than this is left to smaller sets (memory)."""


def measurable_fars(impostors: int) -> tuple[float, ...]:
    """The FARs that accept at least one of `impostors` pairs, and not more than are kept."""
    return tuple(far for far in FARS if 1 <= allowed(far, impostors) <= _MOST_ACCEPTED)


def allowed(far: float, total: float) -> int:
    """The largest whole weight that is at most the share `far` of the weight `total`."""
    # Divided as a measured FAR is divided, so that 1 of 100,000 is a FAR of 1e-5.
    weight = int(far * total) + 1
    while weight / total > far:
        weight -= 1
    return weight


class TailRanks:
    """The tail in descending order, for any weights of the people."""

    def __init__(self, tail: ImpostorTail, group: Ints) -> None:
        order = np.argsort(-tail.similarity, kind="stable")
        self.similarity: Floats = tail.similarity[order]
        self._group = group[tail.probe[order]]

    def threshold(self, weights: Floats, far: float, total: float) -> float:
        """The threshold of `far` for `weights`, float64 (G,), of the people.

        `total` is the weight of all impostor pairs. The threshold is -inf if all may pass.
        """
        passed = np.cumsum(weights[self._group])
        over = int(np.searchsorted(passed, allowed(far, total), side="right"))
        return float(self.similarity[over]) if over < len(passed) else -np.inf

    def accepted(self, threshold: float) -> int:
        """How many impostor pairs lie above `threshold`."""
        return int(np.searchsorted(-self.similarity, -threshold, side="left"))


def accepted_genuine(similarity: Floats, group: Ints, thresholds: Floats, people: int) -> Ints:
    """How many genuine pairs of each person lie above each threshold, int64 (R, G)."""
    accepted = np.zeros((len(thresholds), people), np.int64)
    for person in range(people):
        own = np.sort(similarity[group == person])
        accepted[:, person] = len(own) - np.searchsorted(own, thresholds, side="right")
    return accepted
