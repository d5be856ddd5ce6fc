"""Verification over folds: the accuracy and the TAR at a FAR of the pair protocol.

The pairs are cut into F contiguous folds, not shuffled. Each fold is tested at a threshold that
was chosen on the other F - 1. A pair is called 'same' if its squared distance is below the
threshold; the thresholds come from a fixed grid.

Shapes: P pairs, F folds, T thresholds of the grid.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ACCURACY_GRID: Floats = np.arange(0, 4, 0.01)
"""Squared distances that the accuracy's threshold is chosen from."""

TAR_GRID: Floats = np.arange(0, 4, 0.001)
"""Squared distances that the threshold of TAR at FAR is chosen from."""


def fold_numbers(pairs: int, folds: int) -> Ints:
    """The fold of each of `pairs` pairs, int64 (P,): contiguous, the first ones one larger.

    Raises DataError unless 2 <= folds <= pairs.
    """
    if not 2 <= folds <= pairs:
        raise DataError(
            f"{pairs} pairs cannot be cut into {folds} folds: need 2 <= folds <= pairs."
        )
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds, dtype=np.int64), sizes)


@dataclass(frozen=True)
class FoldCounts:
    """How much weight each fold's pairs carry, and how much of it each threshold accepts.

    The weight of a pair is 1, or how often it was drawn in a bootstrap replicate.

    Attributes:
        grid: float64 (T,), squared distances, ascending.
        genuine, impostor: float64 (F, T), accepted weight of pairs of one person / of two.
        genuine_total, impostor_total: float64 (F,), all of it.
    """

    grid: Floats
    genuine: Floats
    impostor: Floats
    genuine_total: Floats
    impostor_total: Floats


class FoldTally:
    """Sorts pairs into the bins of a grid once, to count accepted ones for any weights."""

    def __init__(self, distances: Floats, same: Bools, fold: Ints, grid: Floats) -> None:
        self.grid = grid
        self.folds = int(fold.max()) + 1
        # The bin is the first threshold that lies above the distance: from there on the pair is
        # accepted. Bin T holds the pairs that no threshold accepts.
        bins = np.searchsorted(grid, distances, side="right")
        self._width = len(grid) + 1
        self._keys = (fold * 2 + same) * self._width + bins

    def count(self, weights: Floats | None = None) -> FoldCounts:
        """Counts for `weights`, float64 (P,); None weighs every pair 1."""
        cells = np.bincount(self._keys, weights, minlength=self.folds * 2 * self._width)
        accepted = cells.reshape(self.folds, 2, self._width).astype(np.float64, copy=False)
        np.cumsum(accepted, axis=2, out=accepted)
        return FoldCounts(
            grid=self.grid,
            genuine=accepted[:, 1, :-1],
            impostor=accepted[:, 0, :-1],
            genuine_total=accepted[:, 1, -1],
            impostor_total=accepted[:, 0, -1],
        )


@dataclass(frozen=True)
class FoldAccuracy:
    """Per fold: the test accuracy, and the training folds' threshold (both float64 (F,)).

    The accuracy of a fold without weight is NaN.
    """

    accuracies: Floats
    thresholds: Floats

    @property
    def mean(self) -> float:
        """The mean test accuracy over the folds."""
        return float(_finite(self.accuracies).mean())

    @property
    def std(self) -> float:
        """The standard deviation of the test accuracies over the folds (divided by F)."""
        return float(_finite(self.accuracies).std())


def fold_accuracy(counts: FoldCounts) -> FoldAccuracy:
    """Test accuracy of each fold at the first threshold that is best on the other folds."""
    right = counts.genuine + (counts.impostor_total[:, None] - counts.impostor)
    best = np.argmax(right.sum(axis=0) - right, axis=1)
    total = counts.genuine_total + counts.impostor_total
    chosen = right[np.arange(len(best)), best]
    return FoldAccuracy(_ratio(chosen, total), counts.grid[best])


@dataclass(frozen=True)
class FoldTar:
    """Per fold: TAR and FAR on the fold at the training folds' threshold (all float64 (F,)).

    The TAR of a fold without genuine pairs, and the FAR of one without impostors, is NaN.
    """

    tars: Floats
    fars: Floats
    thresholds: Floats

    @property
    def mean(self) -> float:
        """The mean TAR over the folds that have genuine pairs."""
        return float(_finite(self.tars).mean())

    @property
    def std(self) -> float:
        """The standard deviation of the TAR over the folds (divided by their number)."""
        return float(_finite(self.tars).std())

    @property
    def mean_far(self) -> float:
        """The mean FAR that the thresholds gave on the tested folds."""
        return float(_finite(self.fars).mean())


def fold_tar(counts: FoldCounts, far: float) -> FoldTar:
    """TAR of each fold at the threshold that gives `far` on the other folds.

    The threshold is the largest of the grid whose FAR on the training folds does not exceed
    `far`, and 0 where the training folds never reach `far`. This is our rule: the published
    interpolation in FAR is undefined, because values of the FAR repeat.
    """
    training = counts.impostor.sum(axis=0) - counts.impostor
    total = counts.impostor_total.sum() - counts.impostor_total
    with np.errstate(invalid="ignore"):  # no impostor at all: NaN, which reaches nothing
        training /= total[:, None]
    # The FAR grows with the threshold, so the last allowed one is the number of allowed less 1.
    last = np.maximum((training <= far).sum(axis=1) - 1, 0)
    last[~(training[:, -1] >= far)] = 0
    rows = np.arange(len(last))
    return FoldTar(
        tars=_ratio(counts.genuine[rows, last], counts.genuine_total),
        fars=_ratio(counts.impostor[rows, last], counts.impostor_total),
        thresholds=counts.grid[last],
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _finite(values: Floats) -> Floats:
    """The finite ones of `values`, or one NaN."""
    finite = values[np.isfinite(values)]
    return finite if len(finite) else np.array([np.nan])
