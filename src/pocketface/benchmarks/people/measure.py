"""The figures of the protocol, with their intervals."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import LEVEL, person_weights
from pocketface.benchmarks.far_threshold import far_thresholds
from pocketface.benchmarks.ijb.identification import Search, search
from pocketface.benchmarks.ijb.measure import Identified, measure_searches
from pocketface.benchmarks.ijb.result import Counting
from pocketface.benchmarks.margins import rate_interval
from pocketface.benchmarks.operating_points import estimate, operating_points, thin_roc
from pocketface.benchmarks.pair_metrics import FARS
from pocketface.benchmarks.pair_result import OperatingPoint, RocPoint
from pocketface.benchmarks.people.protocol import OpenSet, Plan
from pocketface.benchmarks.people.result import Recommended
from pocketface.benchmarks.result import Estimate
from pocketface.benchmarks.roc import RocTally
from pocketface.embedding.unit import similarity_of, squared_distances
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]

_PAIRS_AT_ONCE = 8192


class Pairwise(NamedTuple):
    """The figures over the pairs, and each one's replicates by its name in the report."""

    auc: Estimate
    eer: Estimate
    points: tuple[OperatingPoint, ...]
    silences: tuple[str, ...]
    roc: tuple[RocPoint, ...]
    spread: dict[str, Floats]


def similarities(directions: Floats, plan: Plan) -> Floats:
    """The similarity of each pair, float64 (P,), of unit embeddings float64 (n, D)."""
    distances = np.empty(len(plan.left))
    for start in range(0, len(distances), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        distances[part] = squared_distances(
            directions[plan.left[part]], directions[plan.right[part]]
        )
    return similarity_of(distances)


def measure_pairs(scores: Floats, plan: Plan, replicates: int, seed: int) -> Pairwise:
    """Area, equal error rate and operating points of `scores`, float64 (P,)."""
    impostors = int(np.count_nonzero(~plan.same))
    fars = tuple(far for far in FARS if far * impostors >= 1)
    tally = RocTally(scores, plan.same)
    roc = tally.curve()
    drawn = []
    if replicates:
        people = plan.people[plan.left], plan.people[plan.right]
        for weights in person_weights(*people, replicates, np.random.default_rng(seed)):
            curve = tally.curve(weights)
            drawn.append(
                [curve.area(), curve.equal_error_rate(), *(curve.tar_at(far) for far in fars)]
            )
    names = ["Area under ROC", "Equal error rate", *(f"tar@{far:g}" for far in fars)]
    columns = np.array(drawn, np.float64).reshape(len(drawn), len(names)).T
    spread = dict(zip(names, columns, strict=True)) if replicates else {}
    points, silences = operating_points(roc, fars, impostors, None, spread)
    spread = {name.replace("tar@", "TAR at FAR "): values for name, values in spread.items()}
    return Pairwise(
        auc=estimate(roc.area(), spread.get("Area under ROC")),
        eer=estimate(roc.equal_error_rate(), spread.get("Equal error rate")),
        points=points,
        silences=silences,
        roc=thin_roc(roc, impostors),
        spread=spread,
    )


def measure_search(
    open_set: OpenSet, directions: Floats, replicates: int, seed: int
) -> tuple[dict[str, Search], Identified]:
    """What searching gave in each gallery, and its figures; `directions` is float64 (n, D)."""
    units = open_set.units(directions)
    searches = {
        name: search(units, gallery, open_set.probes)
        for name, gallery in open_set.galleries.items()
    }
    sizes = {name: len(gallery.template) for name, gallery in open_set.galleries.items()}
    counting = Counting(keep_norm=False, detector_score=False)
    return searches, measure_searches(searches, sizes, open_set.probes, counting, replicates, seed)


def recommend(
    scores: Floats,
    plan: Plan,
    far: float,
    searches: dict[str, Search],
    sizes: dict[str, int],
    *,
    replicates: int,
    seed: int,
) -> tuple[Recommended | None, str | None]:
    """The threshold for `far`, or why there is none.

    `searches` and `sizes` are by gallery, empty where no search was measured.
    """
    sides = plan.people[plan.left], plan.people[plan.right]
    try:
        (found,) = far_thresholds(scores, plan.same, [far], sides, replicates=replicates, seed=seed)
    except DataError as error:
        return None, f"Warning: no threshold can be recommended: {error}"
    impostors = int(np.count_nonzero(~plan.same))
    accepted = round(found.measured_far * impostors)
    rates = at_threshold(searches, found.similarity)
    low, high = (None, None) if found.ends is None else found.ends
    return Recommended(
        far=far,
        similarity=Estimate(value=found.similarity, low=low, high=high),
        measured_far=_rate(accepted, impostors),
        tar=found.tar,
        gallery=float(np.mean(list(sizes.values()))) if sizes else None,
        fpir=None if rates is None else rates[0],
        tpir=None if rates is None else rates[1],
    ), None


def at_threshold(searches: dict[str, Search], threshold: float) -> tuple[Estimate, Estimate] | None:
    """FPIR and TPIR of all galleries' probes at a similarity that a template must reach.

    None where there is no probe of a kind.
    """
    strangers = np.concatenate([one.best for one in searches.values()] or [np.empty(0)])
    hits = [(one.rank == 1) & (one.mate >= threshold) for one in searches.values()]
    mated = sum(len(one) for one in hits)
    if not len(strangers) or not mated:
        return None
    found = sum(int(np.count_nonzero(one)) for one in hits)
    return (
        _rate(int(np.count_nonzero(strangers >= threshold)), len(strangers)),
        _rate(found, mated),
    )


def _rate(count: int, total: int) -> Estimate:
    low, high = rate_interval(count, total, LEVEL)
    return Estimate(value=count / total, low=low, high=high)
