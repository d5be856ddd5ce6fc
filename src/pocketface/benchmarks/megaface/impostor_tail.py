"""The highest impostor similarities: what verification at a low FAR needs of all of them.

With 3,530 probes and a million distractors a FAR of 1e-5 accepts 35,300 of 3.5 thousand million
impostor pairs; all others are as good as unseen. For confidence intervals the same must hold in
every bootstrap replicate, where a person's pairs count as often as that person was drawn. The
weights of all replicates are known before the first comparison, so the tail keeps exactly what
the lowest threshold of any replicate may need.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BINS = 1024
_SMALLEST_PRUNING = 65_536


class ImpostorTail:
    """Keeps impostor pairs that can lie at or above a threshold in any replicate.

    Args:
        group: int64 (P,), the person of each probe, 0..G-1.
        weights: float64 (R, G), whole numbers: how often each replicate counts a person's pairs.
        allowed: float64 (R,): the weight of impostor pairs that the largest FAR lets pass. The
            threshold is the best similarity at which more than that would pass.

    Attributes:
        similarity, probe, distractor: float64, int64, int64 (K,): the pairs kept, in no order.
    """

    def __init__(self, group: Ints, weights: Floats, allowed: Floats) -> None:
        self._group = group
        self._weights = weights.astype(np.float32)
        self._allowed = allowed
        # Of a person who was drawn, no replicate lets more pairs pass than its own `allowed`.
        self._most = int(allowed.max()) + 1
        self._floor = np.full(weights.shape[1], -np.inf)
        self._after_pruning = 0
        self.similarity: Floats = np.empty(0)
        self.probe: Ints = np.empty(0, np.int64)
        self.distractor: Ints = np.empty(0, np.int64)

    def floors(self) -> Floats:
        """float64 (P,): a pair below its probe's floor changes nothing."""
        floors: Floats = self._floor[self._group]
        return floors

    def keep(self, probe: Ints, distractor: Ints, similarity: Floats) -> None:
        """Take in impostor pairs (N,) that were not taken in before."""
        self.similarity = np.concatenate([self.similarity, similarity])
        self.probe = np.concatenate([self.probe, probe])
        self.distractor = np.concatenate([self.distractor, distractor])
        if len(self.similarity) > max(1.5 * self._after_pruning, _SMALLEST_PRUNING):
            self._prune()

    def _prune(self) -> None:
        group = self._group[self.probe]
        self._floor = np.maximum(self._floor, self._common_floor(group))
        kept = self.similarity >= self._floor[group]
        for person in np.flatnonzero(np.bincount(group[kept]) > self._most):
            own = np.flatnonzero(kept & (group == person))
            excess = len(own) - self._most
            order = np.argpartition(self.similarity[own], excess)
            self._floor[person] = self.similarity[own[order[excess]]]
            # Ties at the floor go too: those that stay are enough to show where it is.
            kept[own[order[:excess]]] = False
        self.similarity = self.similarity[kept]
        self.probe, self.distractor = self.probe[kept], self.distractor[kept]
        self._after_pruning = len(self.similarity)

    def _common_floor(self, group: Ints) -> float:
        """A similarity that no replicate's threshold lies below; -inf while there is none.

        Similarities are counted in bins; a bin is wholly above the floor or wholly below.
        """
        low, high = float(self.similarity.min()), float(self.similarity.max())
        scale = (_BINS - 1) / max(high - low, 1e-300)
        place = np.minimum((self.similarity - low) * scale, _BINS - 1).astype(np.int64)
        people = self._weights.shape[1]
        counts = np.bincount(group * _BINS + place, minlength=people * _BINS)
        at_least = counts.reshape(people, _BINS)[:, ::-1].cumsum(axis=1)[:, ::-1]
        weight = self._weights @ at_least.astype(np.float32)
        # One more in a thousand than allowed: beyond what rounding to float32 can feign.
        enough = weight > (self._allowed * (1 + 1e-3) + 1)[:, None]
        last = np.where(enough.any(axis=1), _BINS - 1 - enough[:, ::-1].argmax(axis=1), -1).min()
        if last < 0:
            return -np.inf
        return float(self.similarity[place >= last].min())
