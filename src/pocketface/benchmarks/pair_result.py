"""What a run of a pair benchmark found, as `report.json` holds it and as text says it."""

from typing import Literal

from pydantic import Field

from pocketface.benchmarks.margins import low_far_warning
from pocketface.benchmarks.result import (
    Estimate,
    Intervals,
    MeasuredModel,
    Record,
    Row,
    interval_sentence,
    percent,
    percent_interval,
)

_PAPER_SETS = {
    "lfw": ("LFW", 6000),
    "calfw": ("CALFW", 6000),
    "cplfw": ("CPLFW", 6000),
    "cfpfp": ("CFP-FP", 7000),
    "agedb30": ("AgeDB-30", 6000),
}
"""Column of the papers' table and number of pairs, by the set's name in small letters."""


class FoldResult(Record):
    """One fold, tested at thresholds chosen on the other folds; squared distances, 0 to 4.

    A rate is None where the fold has no pair of the kind.
    """

    accuracy: float
    accuracy_threshold: float
    tar: float | None
    far: float | None
    tar_threshold: float


class OperatingPoint(Record):
    """A threshold over all pairs: 'same person' if the cosine similarity reaches `similarity`.

    Attributes:
        far: the false accept rate aimed at; the threshold gives the largest TAR for it.
        measured_far: the false accept rate got, at most `far`, and the exact interval of it at
            this threshold were the pairs independent; see `margins.rate_interval`.
        tar: true accept rate.
        similarity: the threshold.
    """

    far: float = Field(gt=0, lt=1)
    measured_far: Estimate
    tar: Estimate
    similarity: float = Field(ge=-1, le=1)


class RocPoint(Record):
    """A point of the curve over all pairs: accepts `tar` of one person's pairs for `far`."""

    far: float = Field(ge=0, le=1)
    tar: float = Field(ge=0, le=1)


class PairResult(Record):
    """Every figure of one network on one set of pairs.

    Attributes:
        data: content identity of the set, hexadecimal; see `PairSet.fingerprint`.
        images: how many different images the pairs use.
        people: how many people are on them, None where the set does not say.
        flip: whether embeddings were summed over image and mirror.
        accuracy, accuracy_std: mean and standard deviation over the folds.
        fold_far, fold_tar, fold_tar_std, fold_tar_far: over the folds, the FAR aimed at, the
            mean and standard deviation of the TAR, and the mean FAR got.
        auc, eer: area under the curve and equal error rate over all pairs.
        operating_points: TAR at FAR over all pairs.
        not_measured: sentences on figures that this set cannot give.
        warnings: about how the faces are cut and prepared.
        roc: the curve, thinned to points evenly spaced in log FAR.
    """

    kind: Literal["pairs"] = "pairs"
    format: Literal[2] = 2
    benchmark: str
    data: str
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
    warnings: tuple[str, ...] = ()
    intervals: Intervals | None
    folds: tuple[FoldResult, ...]
    roc: tuple[RocPoint, ...]
    embedding_seconds: float = Field(ge=0)

    def rows(self) -> list[Row]:
        """The figures as text, the protocol's own first."""
        rows = [
            Row(
                "Accuracy",
                percent(self.accuracy.value),
                percent_interval(self.accuracy),
                f"mean of {len(self.folds)} folds, standard deviation {percent(self.accuracy_std)}",
            ),
            Row(
                f"TAR at FAR {self.fold_far:g}, over folds",
                percent(self.fold_tar.value),
                percent_interval(self.fold_tar),
                f"standard deviation {percent(self.fold_tar_std)}, "
                f"mean FAR {percent(self.fold_tar_far)}",
            ),
        ]
        rows += [
            Row(
                f"TAR at FAR {point.far:g}, all pairs",
                percent(point.tar.value),
                percent_interval(point.tar),
                f"same person if similarity is at least {point.similarity:.4f}; "
                f"FAR there {percent(point.measured_far.value)} "
                f"({percent_interval(point.measured_far)})",
            )
            for point in self.operating_points
        ]
        area = self.auc
        ends = "" if area.low is None else f"{area.low:.5f} to {area.high:.5f}"
        rows += [
            Row(
                "Equal error rate", percent(self.eer.value), percent_interval(self.eer), "all pairs"
            ),
            Row("Area under ROC", f"{area.value:.5f}", ends, "all pairs"),
        ]
        return rows

    def sentences(self) -> list[str]:
        """What was measured, how intervals were made, warnings, and what is not measured."""
        people = "" if self.people is None else f" of {self.people:,} people"
        flip = "image and mirror summed" if self.flip else "without mirror images"
        measured = (
            f"{self.pairs:,} pairs ({self.genuine_pairs:,} of one person, "
            f"{self.impostor_pairs:,} of two) of {self.images:,} images{people}; {flip}."
        )
        margins = [
            low_far_warning(
                point.far,
                round(point.measured_far.value * self.impostor_pairs),
                self.impostor_pairs,
            )
            for point in self.operating_points
        ]
        return [
            measured,
            *self.warnings,
            interval_sentence(self.intervals),
            *(warning for warning in margins if warning is not None),
            *self.not_measured,
        ]

    def paper_columns(self) -> dict[str, float]:
        """The accuracy in per cent under the papers' name of the set, where it is that set.

        A set of that name with another number of pairs goes by its own name.
        """
        name = "".join(letter for letter in self.benchmark.lower() if letter.isalnum())
        column, pairs = _PAPER_SETS.get(name.removesuffix("pairs"), (self.benchmark, 0))
        known = self.pairs == pairs
        return {column if known else self.benchmark: 100 * self.accuracy.value}
