"""All figures of one set of scored pairs, for the pairs as they are and for bootstrap weights.

Shapes: P pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.folds import (
    ACCURACY_GRID,
    TAR_GRID,
    FoldAccuracy,
    FoldTally,
    FoldTar,
    fold_accuracy,
    fold_numbers,
    fold_tar,
)
from pocketface.benchmarks.roc import Roc, RocTally
from pocketface.embedding.unit import similarity_of
from pocketface.errors import DataError

Floats = npt.NDArray[np.float64]

FOLD_FAR = 1e-3
"""The FAR of the protocol's TAR over folds."""

FARS = (1e-2, 1e-3, 1e-4)
"""The FARs of the operating points over all pairs."""


@dataclass(frozen=True)
class PairFigures:
    """The figures of a set of pairs: over folds, and over all pairs."""

    accuracy: FoldAccuracy
    tar: FoldTar
    roc: Roc


class PairMetrics:
    """Sorts scored pairs once; gives their figures for any weights of the pairs.

    Args:
        distances: float64 (P,), squared distances of unit embeddings, 0 to 4.
        same: bool (P,), whether the pair is of one person.
        folds: number of contiguous folds.

    Raises DataError for arrays that do not fit together, distances that are not finite or out of
    range, pairs of only one kind, or a number of folds that is not possible.
    """

    def __init__(self, distances: Floats, same: npt.NDArray[np.bool_], folds: int) -> None:
        distances = np.asarray(distances, np.float64)
        same = np.asarray(same, np.bool_)
        if distances.ndim != 1 or distances.shape != same.shape:
            raise DataError(
                "need one distance and one truth per pair, "
                f"got shapes {distances.shape} and {same.shape}."
            )
        # Rounding may carry the distance of opposite vectors a little beyond 4.
        if not ((distances >= 0) & (distances <= 4 + 1e-9)).all():
            raise DataError(
                "squared distances of unit embeddings lie between 0 and 4, got values from "
                f"{distances.min()} to {distances.max()}. Normalise the embeddings first."
            )
        fold = fold_numbers(len(distances), folds)
        self._accuracy = FoldTally(distances, same, fold, ACCURACY_GRID)
        self._tar = FoldTally(distances, same, fold, TAR_GRID)
        self._roc = RocTally(similarity_of(distances), same)

    def figures(self, weights: Floats | None = None) -> PairFigures:
        """All figures for `weights`, float64 (P,); None weighs every pair 1."""
        return PairFigures(
            accuracy=fold_accuracy(self._accuracy.count(weights)),
            tar=fold_tar(self._tar.count(weights), FOLD_FAR),
            roc=self._roc.curve(weights),
        )

    def replicates(self, weights: Iterator[Floats], fars: tuple[float, ...]) -> dict[str, Floats]:
        """Each figure's bootstrap replicates, float64 (R,), by name.

        Names: 'accuracy', 'fold_tar', 'auc', 'eer', and `tar@{far}` for each of `fars`. A figure
        is NaN in a replicate that drew no pair of a kind it needs.
        """
        rows = []
        for drawn in weights:
            figures = self.figures(drawn)
            roc = figures.roc
            rows.append(
                [figures.accuracy.mean, figures.tar.mean, roc.area(), roc.equal_error_rate()]
                + [roc.tar_at(far) for far in fars]
            )
        names = ["accuracy", "fold_tar", "auc", "eer", *(f"tar@{far:g}" for far in fars)]
        columns = np.array(rows, np.float64).reshape(len(rows), len(names)).T
        return dict(zip(names, columns, strict=True))
