"""What a report reads from a whole ROC curve: thresholds at low FAR, and the curve thinned."""

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.bootstrap import LEVEL, interval
from pocketface.benchmarks.margins import rate_interval
from pocketface.benchmarks.pair_metrics import FARS, FOLD_FAR
from pocketface.benchmarks.pair_result import OperatingPoint, RocPoint
from pocketface.benchmarks.result import Estimate
from pocketface.benchmarks.roc import Roc

_CURVE_POINTS = 200


def operating_points(
    roc: Roc,
    fars: tuple[float, ...],
    impostors: int,
    folds: int | None,
    spread: dict[str, npt.NDArray[np.float64]],
) -> tuple[tuple[OperatingPoint, ...], tuple[str, ...]]:
    """The thresholds for `fars`, and a sentence on each figure that the set is too small for.

    A FAR is measured if it allows at least one impostor pair to pass; below that its threshold
    would rest on no accepted pair at all. `folds` is None where nothing is measured over folds.
    """
    points, silences = [], []
    training = None if folds is None else round(impostors * (folds - 1) / folds)
    if training is not None and training * FOLD_FAR < 1:
        silences.append(
            f"TAR at FAR {FOLD_FAR:g} over folds is TAR without any false accept here: the "
            f"training folds have about {training:,} pairs of two people, and it takes "
            f"{round(1 / FOLD_FAR):,} to allow one."
        )
    for far in FARS:
        if far not in fars:
            silences.append(
                f"TAR at FAR {far:g} needs at least {round(1 / far):,} pairs of two people; "
                f"this set has {impostors:,}."
            )
            continue
        index = roc.index_at(far)
        similarity = roc.threshold_at(index)
        if similarity is None:
            silences.append(
                f"TAR at FAR {far:g} has no threshold: more pairs of two people have "
                "similarity 1 than it allows."
            )
            continue
        points.append(
            OperatingPoint(
                far=far,
                measured_far=_far_estimate(float(roc.far[index]), impostors),
                tar=estimate(float(roc.tar[index]), spread.get(f"tar@{far:g}")),
                similarity=similarity,
            )
        )
    return tuple(points), tuple(silences)


def estimate(value: float, replicates: npt.NDArray[np.float64] | None) -> Estimate:
    """A figure with the interval of its bootstrap replicates (R,), None for no interval."""
    ends = None if replicates is None else interval(replicates)
    if ends is None:
        return Estimate(value=value)
    return Estimate(value=value, low=ends[0], high=ends[1])


def _far_estimate(far: float, impostors: int) -> Estimate:
    low, high = rate_interval(round(far * impostors), impostors, LEVEL)
    return Estimate(value=far, low=low, high=high)


def thin_roc(roc: Roc, impostors: int) -> tuple[RocPoint, ...]:
    """The best TAR at FARs evenly spaced in their logarithm, from none accepted to all."""
    wanted = np.concatenate([[0.0], np.geomspace(1 / impostors, 1.0, _CURVE_POINTS)])
    wanted[-1] = 1.0
    indices = np.unique([roc.index_at(far) for far in wanted])
    return tuple(
        RocPoint(far=far, tar=tar)
        for far, tar in zip(roc.far[indices].tolist(), roc.tar[indices].tolist(), strict=True)
    )
