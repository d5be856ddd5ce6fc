"""From measured figures to the records of a report and the replicates beside it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import interval
from pocketface.benchmarks.margins import rate_interval
from pocketface.benchmarks.megaface.measure import FarPoint, ProtocolFigures
from pocketface.benchmarks.megaface.result import (
    CmcPoint,
    CurvePoint,
    FarResult,
    MegafaceResult,
    ProtocolResult,
)
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Estimate

Floats = npt.NDArray[np.float64]


def protocol_result(figures: ProtocolFigures) -> ProtocolResult:
    """One protocol's part of the report."""
    return ProtocolResult(
        name=figures.name,
        impostor_pairs=figures.impostors,
        cmc=tuple(
            CmcPoint(
                distractors=size,
                compared=figures.compared[size],
                rates=tuple(_estimate(column) for column in values.T),
            )
            for size, values in sorted(figures.cmc.items())
        ),
        points=tuple(_far_result(figures, point) for point in figures.points),
        roc=tuple(CurvePoint(far=far, tar=tar) for far, tar in figures.roc.tolist()),
    )


def kept_replicates(result: MegafaceResult, figures: Sequence[ProtocolFigures]) -> Replicates:
    """The replicates of the chief figures of `result`, which must have intervals."""
    if result.intervals is None:
        raise ValueError("the result has no replicates")
    named = {}
    for entry in figures:
        largest = max(entry.cmc)
        for rank in (1, 5, 10):
            name = f"Rank {rank}, {largest:,} distractors, {entry.name}"
            named[name] = entry.cmc[largest][:, rank - 1]
        for point in entry.points:
            named[f"TAR at FAR {point.far:g}, {entry.name}"] = point.tar
    return Replicates(
        data=result.data,
        model=result.model.fingerprint,
        drawn=result.intervals.drawn,
        seed=result.intervals.seed,
        values={name: float(values[0]) for name, values in named.items()},
        draws={name: values[1:] for name, values in named.items()},
    )


def _far_result(figures: ProtocolFigures, point: FarPoint) -> FarResult:
    low, high = rate_interval(point.accepted, figures.impostors)
    return FarResult(
        far=point.far,
        accepted=point.accepted,
        measured_far=Estimate(value=point.accepted / figures.impostors, low=low, high=high),
        tar=_estimate(point.tar),
        similarity=_similarity(figures, point),
    )


def _similarity(figures: ProtocolFigures, point: FarPoint) -> float | None:
    """A similarity that accepts what lies above the threshold, and nothing else.

    It lies midway between the last accepted and the first rejected similarity, so that rounding
    in another runtime changes nothing.
    """
    above = [1.0, *figures.genuine[figures.genuine > point.threshold]]
    if point.accepted:
        above.append(figures.ranks.similarity[point.accepted - 1])
    accepted = float(min(above))
    if point.threshold >= accepted:
        return None
    middle = (accepted + point.threshold) / 2
    return min(max(middle if middle > point.threshold else accepted, -1.0), 1.0)


def _estimate(values: Floats) -> Estimate:
    """A figure and its interval, from float64 (1 + R,)."""
    ends = interval(values[1:])
    if ends is None:
        return Estimate(value=float(values[0]))
    return Estimate(value=float(values[0]), low=ends[0], high=ends[1])
