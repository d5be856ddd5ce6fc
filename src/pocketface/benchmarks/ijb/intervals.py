"""How the 1:1 figures would vary had other people been photographed: bootstrap over identities.

A replicate draws as many identities as there are, with replacement; a pair of one person counts as
often as that person was drawn, a pair of two people as often as the product of their draws, as in
`benchmarks.bootstrap`. Millions of pairs are not weighed a thousand times: the weight of all pairs
of two people is a quadratic form of the draws, and only the most similar pairs, down to the
largest FAR, are walked through. Thresholds of replicates come from the quick (32-bit) scores.

Shapes: R replicates, C identities, T templates, N pairs of two people, G pairs of one person.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.scores import TemplateScores
from pocketface.benchmarks.ijb.template_pairs import PairTable

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_STRIP = 256
"""Templates whose pairs are counted at once."""


def draws(
    identities: int, replicates: int, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """How often each identity is drawn in each replicate, float32 (R, C)."""
    drawn = np.empty((replicates, identities), np.float32)
    for row in drawn:
        row[:] = np.bincount(generator.integers(identities, size=identities), minlength=identities)
    return drawn


def tar_replicates(
    scores: TemplateScores,
    identity: Ints,
    fars: Sequence[float],
    replicates: int,
    generator: np.random.Generator,
) -> Floats:
    """TAR at each of `fars` in each replicate, float64 (R, fars); NaN where a kind is not drawn.

    `identity` is int64 (T,), by place, as `identities` gives it.
    """
    pairs = scores.pairs
    people = int(identity.max()) + 1
    owner = identity[pairs.pair_places(scores.genuine_pairs)[0]]
    head = _Head(scores, identity, max(fars))
    drawn = draws(people, replicates, generator)
    totals = _impostor_weights(pairs, identity, drawn).tolist()
    tars = np.full((replicates, len(fars)), np.nan)
    for row, times, total in zip(tars, drawn, totals, strict=True):
        # Entry g: the weight of the genuine pairs from the g-th on, in ascending order.
        weight = np.append(np.cumsum(times[owner][::-1], dtype=np.float64)[::-1], 0.0)
        if total > 0 and weight[0] > 0:
            rejected = head.rejected(times, [far * total for far in fars])
            accepted = weight[np.searchsorted(scores.genuine, rejected, "right")]
            row[:] = accepted / weight[0]
    return tars


class _Head:
    """The most similar pairs of two people, as many as the replicates turn out to need."""

    def __init__(self, scores: TemplateScores, identity: Ints, far: float) -> None:
        self._scores = scores
        self._identity = identity
        # The heaviest replicate needs more pairs than the set itself; a quarter is usually enough.
        self._take(int(1.25 * far * scores.impostors) + 1000)

    def _take(self, count: int) -> None:
        chosen, self._similarity = self._scores.top_impostors(count)
        left, right = self._scores.pairs.pair_places(chosen)
        self._left = self._identity[left].astype(np.int32)
        self._right = self._identity[right].astype(np.int32)
        changes = self._similarity[1:] != self._similarity[:-1]
        self._ends = np.flatnonzero(np.append(changes, True))

    def rejected(self, times: npt.NDArray[np.float32], wanted: Sequence[float]) -> Floats:
        """For each accepted weight that is `wanted`, the best rejected score, float64 (n,).

        The nearest weight that a threshold can accept is taken, the larger on ties.
        """
        while True:
            weight = np.cumsum(times[self._left] * times[self._right], dtype=np.float64)
            weight = weight[self._ends]
            after = np.searchsorted(weight, wanted, "left")
            whole = len(self._similarity) == self._scores.impostors
            beyond = weight[np.minimum(after, len(weight) - 1)]
            if whole or ((after < len(weight)).all() and (beyond < weight[-1]).all()):
                break
            self._take(2 * len(self._similarity))
        below = np.where(after > 0, weight[after - 1], 0.0)
        nearer = np.where(beyond - wanted <= np.asarray(wanted) - below, beyond, below)
        following = np.searchsorted(weight, nearer, "right")
        scores = np.append(self._similarity[self._ends], -np.inf).astype(np.float64)
        return np.asarray(scores[following])


def _impostor_weights(pairs: PairTable, identity: Ints, drawn: npt.NDArray[np.float32]) -> Floats:
    """The weight of all pairs of two people in each row of `drawn` (R, C), float64 (R,)."""
    total = np.zeros(len(drawn))
    start = 0
    while start < len(pairs):
        top = int(pairs.pair_places(slice(start, start + 1))[0][0])
        stop = int(pairs.begins(np.array([top + _STRIP]))[0])
        chosen = start + np.flatnonzero(~pairs.same(slice(start, stop)))
        left, right = pairs.pair_places(chosen)
        counts = np.zeros((_STRIP, drawn.shape[1]), np.float32)
        np.add.at(counts.reshape(-1), (left - top) * drawn.shape[1] + identity[right], 1)
        rows = identity[top : top + _STRIP]
        partners = drawn @ counts[: len(rows)].T
        total += np.einsum("rs,rs->r", drawn[:, rows], partners, dtype=np.float64)
        start = stop
    return total
