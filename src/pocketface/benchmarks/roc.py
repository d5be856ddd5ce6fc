"""The receiver operating characteristic over all pairs, and what is read from it.

A threshold accepts the pairs whose cosine similarity reaches it. FAR is the share of impostor
pairs (two people) that are accepted, TAR the share of genuine pairs (one person).

Shapes: P pairs, K distinct similarities.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Roc:
    """All points of the curve, from 'accept none' to 'accept all'; no collinear one is dropped.

    Attributes:
        similarity: float64 (K,), the distinct similarities, descending.
        far, tar: float64 (K + 1,): entry k accepts the pairs that reach `similarity[k - 1]`;
            entry 0 accepts none. NaN where the weights left no impostor or no genuine pair.
    """

    similarity: Floats
    far: Floats
    tar: Floats

    def area(self) -> float:
        """Area under the curve: how often a genuine pair beats an impostor pair, ties half."""
        return float(np.trapezoid(self.tar, self.far))

    def equal_error_rate(self) -> float:
        """The rate where FAR equals 1 - TAR, on straight lines between the points."""
        excess = self.far - (1.0 - self.tar)
        after = int(np.argmax(excess >= 0))
        before = after - 1
        share = excess[before] / (excess[before] - excess[after])
        return float(self.far[before] + share * (self.far[after] - self.far[before]))

    def index_at(self, far: float) -> int:
        """The last point whose FAR does not exceed `far`; the largest TAR for that price."""
        return int(np.searchsorted(self.far, far, side="right")) - 1

    def tar_at(self, far: float) -> float:
        """TAR at `index_at(far)`; NaN if there is no impostor pair."""
        index = self.index_at(far)
        return float(self.tar[index]) if index >= 0 else float("nan")

    def threshold_at(self, index: int) -> float | None:
        """A similarity in [-1, 1] that accepts exactly what point `index` accepts.

        It lies midway between the last accepted and the first rejected similarity, so that
        rounding in another runtime changes nothing. None if no such number exists: some rejected
        pair has similarity 1.
        """
        accepted = float(self.similarity[index - 1]) if index else 1.0
        rejected = float(self.similarity[index]) if index < len(self.similarity) else -1.0
        if index == len(self.similarity):
            return -1.0
        if rejected >= accepted:
            return None
        middle = (accepted + rejected) / 2
        return middle if middle > rejected else accepted


def check_kinds(same: Bools) -> None:
    """Raise DataError unless there are pairs of one person and pairs of two people."""
    if same.all() or not same.any():
        kind = "one person" if same.all() else "two people"
        raise DataError(
            f"all {len(same)} pairs are of {kind}: error rates need pairs of one person and "
            "pairs of two people. Add the missing kind to the list of pairs."
        )


class RocTally:
    """Sorts pairs by similarity once, to give the curve for any weights of the pairs.

    Raises DataError unless there are pairs of both kinds.
    """

    def __init__(self, similarity: Floats, same: Bools) -> None:
        check_kinds(same)
        order = np.argsort(-similarity, kind="stable")
        ranked = similarity[order]
        self._order = order
        self._same = same[order]
        # The last pair of each run of equal similarities: a threshold takes all of them or none.
        self._ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
        self._similarity = ranked[self._ends]

    def curve(self, weights: Floats | None = None) -> Roc:
        """The curve for `weights`, float64 (P,); None weighs every pair 1."""
        ranked = np.ones(len(self._order)) if weights is None else weights[self._order]
        return Roc(
            similarity=self._similarity,
            far=self._rates(np.where(self._same, 0.0, ranked)),
            tar=self._rates(np.where(self._same, ranked, 0.0)),
        )

    def _rates(self, ranked: Floats) -> Floats:
        accepted = np.concatenate([[0.0], np.cumsum(ranked)[self._ends]])
        with np.errstate(invalid="ignore"):  # a replicate may have drawn no pair of this kind
            rates: Floats = accepted / accepted[-1]
        return rates
