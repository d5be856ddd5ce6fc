"""The 1:N protocol: probes are searched in a gallery that may or may not hold their person.

A probe with a mate (a gallery template of its person) is found at a threshold if the mate beats
every other template of the gallery and the threshold. The threshold for an FPIR comes from the
probes without a mate, by the published rule: their best scores in descending order, entry
max(int(n x FPIR) - 1, 0). A mate must score more, not as much: a tie is a miss (our reading of
'beats'). Rank k counts probes of which fewer than k other templates score as much as the mate.

As in the 1:1 protocol, scores are computed in 32 bits and those that decide again in 64, so that
no figure depends on how a matrix product rounds.

Shapes: Q probes, G gallery templates, T templates, D numbers of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.meta import SubjectTable
from pocketface.benchmarks.ijb.scores import exact_similarity, rounding_bound
from pocketface.embedding.unit import quick_products

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FPIRS = ("0.1", "0.01", "0.001")
"""The false positive identification rates of the protocol, as text: they are no binary fractions.
"""

RANKS = (1, 5, 10)

_BLOCK = 1 << 22
"""Similarities that are held at once."""


@dataclass(frozen=True)
class Search:
    """What searching the probes in one gallery gave.

    Attributes:
        mated: int64 (M,), the probes that have a mate in this gallery.
        mate: float64 (M,), how similar the (best) mate is.
        rank: int64 (M,), 1 + how many templates of others score as much as the mate or more.
        unmated: int64 (U,), the probes that have none, in the order of `best`.
        best: float64 (U,), how similar the best template is to them, descending.
    """

    mated: Ints
    mate: Floats
    rank: Ints
    unmated: Ints
    best: Floats

    def threshold(self, fpir: str, weights: Floats | None = None) -> float:
        """The score that a mate must beat at `fpir`, a decimal number; -inf without `unmated`.

        `weights` float64 (U,) says how often each unmated probe was drawn; None is once each.
        """
        if weights is None:
            weights = np.ones(len(self.best))
        drawn = np.cumsum(weights)
        if not len(drawn) or drawn[-1] == 0:
            return -np.inf
        index = max(int(Fraction(round(drawn[-1])) * Fraction(fpir)) - 1, 0)
        return float(self.best[np.searchsorted(drawn, index, "right")])

    def found(self, threshold: float) -> npt.NDArray[np.bool_]:
        """Which mated probes are found at `threshold`, bool (M,)."""
        hits: npt.NDArray[np.bool_] = (self.rank == 1) & (self.mate > threshold)
        return hits


def search(units: npt.NDArray[np.float32], gallery: SubjectTable, probes: SubjectTable) -> Search:
    """Search all probes in a gallery. `units` is float32 (T, D), unit rows."""
    bound = rounding_bound(units.shape[1])
    shelf = units[gallery.template]
    mates, ranks, bests = [], [], []
    # The gallery templates of each subject, one run after the other.
    by_subject = np.argsort(gallery.subject, kind="stable")
    subjects = gallery.subject[by_subject]
    first = np.searchsorted(subjects, probes.subject, "left")
    last = np.searchsorted(subjects, probes.subject, "right")
    step = max(1, _BLOCK // len(shelf))
    for start in range(0, len(probes.template), step):
        part = slice(start, start + step)
        template = probes.template[part]
        quick = quick_products(units[template], shelf.T)
        own = np.repeat(np.arange(len(template)), last[part] - first[part])
        column = by_subject[_runs(first[part], last[part])]
        exact = exact_similarity(units, template[own], gallery.template[column])
        quick[own, column] = -np.inf
        mate = np.full(len(template), -np.inf)
        np.maximum.at(mate, own, exact)
        mates.append(mate)
        ranks.append(1 + _reaching(units, template, gallery.template, quick, mate, bound))
        bests.append(_best(units, template, gallery.template, quick, bound))
    mated = last > first
    best = np.concatenate(bests)
    unmated = np.flatnonzero(~mated)
    unmated = unmated[np.argsort(-best[unmated], kind="stable")]
    return Search(
        mated=np.flatnonzero(mated),
        mate=np.concatenate(mates)[mated],
        rank=np.concatenate(ranks)[mated],
        unmated=unmated,
        best=best[unmated],
    )


def share_found(
    searches: Sequence[Search], fpir: str, weights: Floats | None = None
) -> list[float]:
    """TPIR at `fpir` in each gallery; NaN where no mated probe was drawn.

    `weights` float64 (Q,) says how often each probe was drawn; None is once each.
    """
    shares = []
    for one in searches:
        threshold = one.threshold(fpir, None if weights is None else weights[one.unmated])
        shares.append(_share(one.found(threshold), one.mated, weights))
    return shares


def share_at_rank(searches: Sequence[Search], rank: int, weights: Floats | None = None) -> float:
    """Over all galleries, the share of the mated probes whose mate is among the best `rank`."""
    hits = np.concatenate([one.rank <= rank for one in searches])
    mated = np.concatenate([one.mated for one in searches])
    return _share(hits, mated, weights)


def _share(hits: npt.NDArray[np.bool_], mated: Ints, weights: Floats | None) -> float:
    drawn = np.ones(len(mated)) if weights is None else weights[mated]
    total = float(drawn.sum())
    return float(drawn[hits].sum()) / total if total else float("nan")


def _reaching(
    units: npt.NDArray[np.float32],
    template: Ints,
    shelf: Ints,
    quick: npt.NDArray[np.float32],
    mate: Floats,
    bound: float,
) -> Ints:
    """How many of `quick` (n, G) are, exactly, at least `mate` (n,) in their row, int64 (n,)."""
    # One more bound than needed covers the rounding of the limits themselves to 32 bits.
    surely = (mate + 2 * bound).astype(np.float32)[:, None]
    perhaps = (mate - 2 * bound).astype(np.float32)[:, None]
    count: Ints = np.count_nonzero(quick > surely, axis=1).astype(np.int64)
    row, column = np.nonzero((quick >= perhaps) & (quick <= surely) & np.isfinite(perhaps))
    exact = exact_similarity(units, template[row], shelf[column])
    count += np.bincount(row[exact >= mate[row]], minlength=len(mate))
    return count


def _best(
    units: npt.NDArray[np.float32],
    template: Ints,
    shelf: Ints,
    quick: npt.NDArray[np.float32],
    bound: float,
) -> Floats:
    """The largest exact score of each row of `quick` (n, G), float64 (n,); -inf if all are out."""
    limit = quick.max(axis=1, keepdims=True) - np.float32(4 * bound)
    row, column = np.nonzero((quick >= limit) & np.isfinite(quick))
    exact = exact_similarity(units, template[row], shelf[column])
    best = np.full(len(quick), -np.inf)
    np.maximum.at(best, row, exact)
    return best


def _runs(first: Ints, last: Ints) -> Ints:
    """first[0] .. last[0] - 1, first[1] .. last[1] - 1, and so on."""
    lengths = last - first
    begins = np.cumsum(lengths) - lengths
    runs: Ints = np.arange(int(lengths.sum())) + np.repeat(first - begins, lengths)
    return runs
