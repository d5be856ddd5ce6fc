"""The most similar distractors of each probe: what identification needs of all distractors."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DEPTH = 10
"""Ranks that are measured: 1 to 10."""


class NearestDistractors:
    """Keeps the DEPTH best similarities of each of P probes, and whose they are.

    Attributes:
        similarity: float64 (P, DEPTH), descending; -inf where there are fewer distractors.
        distractor: int64 (P, DEPTH), -1 where there is none.
    """

    def __init__(self, probes: int) -> None:
        self.similarity: Floats = np.full((probes, DEPTH), -np.inf)
        self.distractor: Ints = np.full((probes, DEPTH), -1)

    def floors(self) -> Floats:
        """float64 (P,): a distractor below a probe's floor changes nothing."""
        floors: Floats = self.similarity[:, -1]
        return floors

    def keep(self, probe: Ints, distractor: Ints, similarity: Floats) -> None:
        """Take in comparisons (N,) that were not taken in before."""
        touched, inside = np.unique(probe, return_inverse=True)
        owner = np.concatenate([inside, np.repeat(np.arange(len(touched)), DEPTH)])
        values = np.concatenate([similarity, self.similarity[touched].ravel()])
        names = np.concatenate([distractor, self.distractor[touched].ravel()])
        order = np.argsort(-values)
        # Small numbers, which a stable sort takes in by counting.
        small = owner[order].astype(np.min_scalar_type(len(touched)))
        order = order[np.argsort(small, kind="stable")]
        # Each touched probe has DEPTH entries at least; its first DEPTH in this order stay.
        first = np.searchsorted(owner[order], np.arange(len(touched)))
        best = order[first[:, None] + np.arange(DEPTH)]
        self.similarity[touched] = values[best]
        self.distractor[touched] = names[best]
