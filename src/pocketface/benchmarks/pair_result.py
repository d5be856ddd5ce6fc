"""What a run of a pair benchmark found: the fixed schema of `report.json`.

Rates are fractions between 0 and 1, times are seconds, similarities are cosines.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pocketface.preprocessing import Preprocessing


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Record):
    """A figure and its confidence interval; None where no interval was computed."""

    value: float
    low: float | None = None
    high: float | None = None


class Intervals(_Record):
    """How the confidence intervals were made; see `pocketface.benchmarks.bootstrap`."""

    drawn: Literal["people", "pairs"]
    level: float = Field(gt=0, lt=1)
    replicates: int = Field(gt=0)
    seed: int = Field(ge=0)


class MeasuredModel(_Record):
    """Which network was measured."""

    name: str
    architecture: str
    embedding_size: int = Field(gt=0)
    parameters: int | None = None
    fingerprint: str
    preprocessing: Preprocessing


class FoldResult(_Record):
    """One fold, tested at thresholds chosen on the other folds; squared distances, 0 to 4.

    A rate is None where the fold has no pair of the kind.
    """

    accuracy: float
    accuracy_threshold: float
    tar: float | None
    far: float | None
    tar_threshold: float


class OperatingPoint(_Record):
    """A threshold over all pairs: 'same person' if the cosine similarity reaches `similarity`.

    Attributes:
        far: the false accept rate aimed at; the threshold gives the largest TAR for it.
        measured_far: the false accept rate got, at most `far`.
        tar: true accept rate.
        similarity: the threshold.
    """

    far: float = Field(gt=0, lt=1)
    measured_far: float = Field(ge=0, le=1)
    tar: Estimate
    similarity: float = Field(ge=-1, le=1)


class RocPoint(_Record):
    """A point of the curve over all pairs: accepts `tar` of one person's pairs for `far`."""

    far: float = Field(ge=0, le=1)
    tar: float = Field(ge=0, le=1)


class PairResult(_Record):
    """Every figure of one network on one set of pairs.

    Attributes:
        images: how many different images the pairs use.
        people: how many people are on them, None where the set does not say.
        flip: whether embeddings were summed over image and mirror.
        accuracy, accuracy_std: mean and standard deviation over the folds.
        fold_far, fold_tar, fold_tar_std, fold_tar_far: over the folds, the FAR aimed at, the
            mean and standard deviation of the TAR, and the mean FAR got.
        auc, eer: area under the curve and equal error rate over all pairs.
        operating_points: TAR at FAR over all pairs.
        not_measured: sentences on figures that this set cannot give.
        roc: the curve, thinned to points evenly spaced in log FAR.
        scores: cosine similarity of each pair, in the set's order; None if left out.
    """

    format: Literal[1] = 1
    benchmark: str
    model: MeasuredModel
    flip: bool
    pairs: int = Field(gt=0)
    genuine_pairs: int = Field(gt=0)
    impostor_pairs: int = Field(gt=0)
    images: int = Field(gt=0)
    people: int | None = None
    accuracy: Estimate
    accuracy_std: float
    fold_far: float
    fold_tar: Estimate
    fold_tar_std: float
    fold_tar_far: float
    auc: Estimate
    eer: Estimate
    operating_points: tuple[OperatingPoint, ...]
    not_measured: tuple[str, ...]
    intervals: Intervals | None
    folds: tuple[FoldResult, ...]
    roc: tuple[RocPoint, ...]
    embedding_seconds: float = Field(ge=0)
    scores: tuple[float, ...] | None = None
