"""Both protocols' figures with their intervals, as the result holds them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import interval
from pocketface.benchmarks.ijb.identification import (
    FPIRS,
    RANKS,
    Search,
    search,
    share_at_rank,
    share_found,
)
from pocketface.benchmarks.ijb.intervals import draws, tar_replicates
from pocketface.benchmarks.ijb.meta import SubjectTable
from pocketface.benchmarks.ijb.result import (
    Counting,
    CurvePoint,
    Identification,
    IdentificationPoint,
    RankPoint,
    VerificationPoint,
)
from pocketface.benchmarks.ijb.scores import TemplateScores
from pocketface.benchmarks.ijb.verification import curve, nearest_points
from pocketface.benchmarks.margins import rate_interval
from pocketface.benchmarks.result import Estimate

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CURVE_POINTS = 60
_CMC_RANKS = 20


class Verification(NamedTuple):
    """The figures of the 1:1 protocol, and each figure's replicates by its name."""

    points: tuple[VerificationPoint, ...]
    roc: tuple[CurvePoint, ...]
    spread: dict[str, Floats]


class Identified(NamedTuple):
    """The figures of the 1:N protocol, and each figure's replicates by its name."""

    figures: Identification
    spread: dict[str, Floats]


def measure_verification(
    scores: TemplateScores, identity: Ints, replicates: int, seed: int
) -> Verification:
    """Measure the 1:1 protocol. `identity` is int64 (T,), by place."""
    nearest = nearest_points(scores)
    fars = [float(far) for far in nearest]
    spread: dict[str, Floats] = {}
    if replicates:
        drawn = tar_replicates(scores, identity, fars, replicates, np.random.default_rng(seed))
        spread = {f"TAR at FAR {far:g}": tars for far, tars in zip(fars, drawn.T, strict=True)}
    points = []
    for far, point in zip(fars, nearest.values(), strict=True):
        low, high = rate_interval(point.accepted, scores.impostors)
        points.append(
            VerificationPoint(
                far=far,
                measured_far=Estimate(value=point.accepted / scores.impostors, low=low, high=high),
                tar=_estimate(point.tar, spread.get(f"TAR at FAR {far:g}")),
                similarity=None if point.similarity is None else max(point.similarity, -1.0),
            )
        )
    roc = tuple(
        CurvePoint(false=point.accepted / scores.impostors, true=point.tar)
        for point in curve(scores)
    )
    return Verification(tuple(points), roc, spread)


def measure_identification(
    units: npt.NDArray[np.float32],
    galleries: Mapping[str, SubjectTable],
    probes: SubjectTable,
    faces: Counting,
    replicates: int,
    seed: int,
) -> Identified:
    """Measure the 1:N protocol on unit embeddings of templates, float32 (T, D).

    A replicate draws the people of the probes; the galleries stay.
    """
    searches = {name: search(units, gallery, probes) for name, gallery in galleries.items()}
    sizes = {name: len(table.template) for name, table in galleries.items()}
    return measure_searches(searches, sizes, probes, faces, replicates, seed)


def measure_searches(
    searches: Mapping[str, Search],
    gallery_sizes: dict[str, int],
    probes: SubjectTable,
    faces: Counting,
    replicates: int,
    seed: int,
) -> Identified:
    """Measure the 1:N protocol on what searching `probes` in each gallery gave, by its name."""
    each = list(searches.values())
    found = _rates(each, None)
    drawn = _replicates(each, probes, replicates, seed) if replicates else None

    def estimates(row: int) -> tuple[Estimate, dict[str, Estimate]]:
        """The figure in `row`, of all galleries and of each."""
        whole, *parts = (
            _estimate(float(value), None if drawn is None else drawn[:, row, column])
            for column, value in enumerate(found[row])
        )
        return whole, dict(zip(searches, parts, strict=True))

    points, ranks = [], []
    for row, fpir in enumerate(FPIRS):
        whole, parts = estimates(row)
        points.append(IdentificationPoint(fpir=float(fpir), tpir=whole, galleries=parts))
    for row, rank in enumerate(RANKS, len(FPIRS)):
        whole, parts = estimates(row)
        ranks.append(RankPoint(rank=rank, rate=whole, galleries=parts))
    names = [f"TPIR at FPIR {float(fpir):g}" for fpir in FPIRS] + [f"Rank {k}" for k in RANKS]
    return Identified(
        Identification(
            faces=faces,
            gallery_sizes=gallery_sizes,
            mated={name: len(one.mated) for name, one in searches.items()},
            unmated={name: len(one.unmated) for name, one in searches.items()},
            points=tuple(points),
            ranks=tuple(ranks),
            curve=_tpir_curve(each),
            cmc=tuple(share_at_rank(each, rank) for rank in range(1, _CMC_RANKS + 1)),
        ),
        {} if drawn is None else dict(zip(names, drawn[:, :, 0].T, strict=True)),
    )


def _rates(searches: list[Search], weights: Floats | None) -> Floats:
    """Each figure (the FPIRs, then the ranks) of all galleries and of each, (figures, 1 + n)."""
    rows = []
    for fpir in FPIRS:
        shares = share_found(searches, fpir, weights)
        rows.append([_mean(shares), *shares])
    for rank in RANKS:
        shares = [share_at_rank([one], rank, weights) for one in searches]
        rows.append([share_at_rank(searches, rank, weights), *shares])
    return np.array(rows, np.float64)


def _replicates(searches: list[Search], probes: SubjectTable, replicates: int, seed: int) -> Floats:
    """`_rates` in each replicate, float64 (R, figures, 1 + n)."""
    people, person = np.unique(probes.subject, return_inverse=True)
    generator = np.random.default_rng(seed)
    return np.stack(
        [
            _rates(searches, times[person].astype(np.float64))
            for times in draws(len(people), replicates, generator)
        ]
    )


def _tpir_curve(searches: list[Search]) -> tuple[CurvePoint, ...]:
    fewest = max(1, min(len(one.unmated) for one in searches))
    rates = np.geomspace(1 / fewest, 1.0, _CURVE_POINTS if fewest > 1 else 1)
    return tuple(
        CurvePoint(false=min(rate, 1.0), true=_mean(share_found(searches, repr(rate))))
        for rate in rates.tolist()
    )


def _mean(shares: list[float]) -> float:
    return float(np.mean(shares))


def _estimate(value: float, replicates: Floats | None) -> Estimate:
    ends = None if replicates is None else interval(replicates)
    if ends is None:
        return Estimate(value=value)
    return Estimate(value=value, low=ends[0], high=ends[1])
