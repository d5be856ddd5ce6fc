"""How long the pair protocol's figures take for 6,000 scored pairs, against plain loops.

Run: python bench/metrics.py
Drawn distances (seed 0), one thread, medians. The loops compare every pair with every threshold
of the protocol's grids, with NumPy over the pairs; they must give the same figures.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from pocketface.benchmarks.bootstrap import person_weights
from pocketface.benchmarks.folds import ACCURACY_GRID, TAR_GRID, fold_numbers
from pocketface.benchmarks.pair_metrics import FARS, FOLD_FAR, PairMetrics

PAIRS, FOLDS, REPLICATES = 6000, 10, 1000
ROUNDS, LOOP_ROUNDS = 25, 5


def main() -> None:
    generator = np.random.default_rng(0)
    same = np.tile(np.repeat([True, False], PAIRS // FOLDS // 2), FOLDS)
    distances = np.clip(
        np.where(same, 0.7, 1.95) + np.where(same, 0.3, 0.2) * generator.standard_normal(PAIRS),
        0,
        4,
    )
    fast, found = _median(lambda: vectorised(distances, same), ROUNDS)
    slow, wanted = _median(lambda: loops(distances, same), LOOP_ROUNDS)
    if found != wanted:
        raise SystemExit(f"the loops disagree: {found} against {wanted}")
    print(f"all figures of {PAIRS:,} pairs: {fast:.2f} ms (median of {ROUNDS})")
    print(f"accuracy and TAR over folds by loops: {slow:.0f} ms (median of {LOOP_ROUNDS})")
    print(f"ratio: {slow / fast:.0f}")

    left = generator.integers(4000, size=PAIRS)
    right = np.where(same, left, (left + generator.integers(1, 4000, size=PAIRS)) % 4000)
    metrics = PairMetrics(distances, same, FOLDS)
    began = time.perf_counter()
    metrics.replicates(person_weights(left, right, REPLICATES, generator), FARS[:2])
    print(f"{REPLICATES:,} bootstrap replicates: {time.perf_counter() - began:.2f} s (one run)")


def vectorised(distances: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Everything that the library measures without intervals; gives accuracy and TAR."""
    figures = PairMetrics(distances, same, FOLDS).figures()
    figures.roc.area()
    figures.roc.equal_error_rate()
    for far in FARS:
        figures.roc.threshold_at(figures.roc.index_at(far))
    return figures.accuracy.mean, figures.tar.mean


def loops(distances: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Accuracy and TAR over folds, one threshold of one fold at a time."""
    fold = fold_numbers(len(same), FOLDS)
    accuracies, tars = [], []
    for test in range(FOLDS):
        training = fold != test
        right = [((distances < t) == same)[training].mean() for t in ACCURACY_GRID]
        threshold = ACCURACY_GRID[int(np.argmax(right))]
        accuracies.append(((distances < threshold) == same)[~training].mean())
        impostors = distances[training & ~same]
        fars = np.array([(impostors < t).mean() for t in TAR_GRID])
        threshold = TAR_GRID[np.flatnonzero(fars <= FOLD_FAR)[-1]] if fars[-1] >= FOLD_FAR else 0.0
        tars.append((distances[~training & same] < threshold).mean())
    return float(np.mean(accuracies)), float(np.mean(tars))


def _median(
    measure: Callable[[], tuple[float, float]], rounds: int
) -> tuple[float, tuple[float, float]]:
    times, figures = [], (0.0, 0.0)
    for _ in range(rounds):
        began = time.perf_counter()
        figures = measure()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times), figures


if __name__ == "__main__":
    main()
