"""What `pocketface calibrate` learns from scored pairs: thresholds and probabilities for a card."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.calibration import Method, fit, held_out_loss
from pocketface.benchmarks.far_threshold import far_thresholds
from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.card import Calibration, Threshold

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Learnt:
    """Thresholds and the map to probabilities, as a card keeps them.

    Attributes:
        thresholds: one for each wanted FAR, in their order.
        calibration: the map.
        loss: log loss of such maps on pairs held out, in nats at even odds; see `held_out_loss`.
        warnings: on how the faces are cut, and on FARs that few pairs stand behind.
    """

    thresholds: list[Threshold]
    calibration: Calibration
    loss: float
    warnings: list[str]


def learn(
    source: PairBenchmark,
    scores: Floats,
    people: npt.NDArray[np.int64] | None,
    fars: list[float],
    method: Method,
    *,
    flip: bool,
    replicates: int,
    seed: int,
) -> Learnt:
    """Learn from the pairs of `source` and their similarities, float64 (P,).

    `people` is int64 (images,), who is on each image, or None where nobody knows. `flip` says how
    the scores were made. Raises DataError as `far_thresholds`.
    """
    pairs = source.pairs
    sides = None if people is None else (people[pairs.left], people[pairs.right])
    found = far_thresholds(scores, pairs.same, fars, sides, replicates=replicates, seed=seed)
    similarities, odds = fit(scores, pairs.same, method)
    genuine = int(np.count_nonzero(pairs.same))
    impostors = len(pairs) - genuine
    thresholds = [
        Threshold(
            benchmark=source.name,
            far=entry.far,
            measured_far=entry.measured_far,
            tar=entry.tar,
            similarity=entry.similarity,
            similarity_interval=entry.ends,
            calibrated=True,
            impostor_pairs=impostors,
            flip=flip,
        )
        for entry in found
    ]
    calibration = Calibration(
        benchmark=source.name,
        method=method,
        similarities=tuple(similarities.tolist()),
        log_odds=tuple(odds.tolist()),
        genuine_pairs=genuine,
        impostor_pairs=impostors,
        flip=flip,
    )
    warnings = [source.alignment, *(entry.warning for entry in found)]
    return Learnt(
        thresholds=thresholds,
        calibration=calibration,
        loss=held_out_loss(scores, pairs.same, method),
        warnings=[text for text in warnings if text is not None],
    )
