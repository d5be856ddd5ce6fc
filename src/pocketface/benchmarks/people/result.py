"""What a run over one's own people found, as `report.json` holds it and as text says it."""

from typing import Literal

from pydantic import Field

from pocketface.benchmarks.ijb.result import Identification
from pocketface.benchmarks.margins import FEW, low_far_warning
from pocketface.benchmarks.pair_result import OperatingPoint, RocPoint
from pocketface.benchmarks.people.findings import Finding
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


class Recommended(Record):
    """The threshold to use: 'same person' if the cosine similarity reaches `similarity`.

    Attributes:
        far: the false accept rate asked for.
        similarity: the threshold, with the interval of its bootstrap replicates.
        measured_far: the false accept rate got, as in `OperatingPoint`.
        tar: true accept rate there.
        gallery: people enrolled in the search, the mean of both galleries; None without a search.
        fpir: of strangers' images, the share that some enrolled person's template reaches, with
            the exact interval were they independent.
        tpir: of enrolled people's images, the share found: best of all, and at the threshold.
    """

    far: float = Field(gt=0, lt=1)
    similarity: Estimate
    measured_far: Estimate
    tar: float
    gallery: float | None = None
    fpir: Estimate | None = None
    tpir: Estimate | None = None


class PeopleResult(Record):
    """Every figure of one network on one's own people.

    Attributes:
        data: content identity of the images and the protocol, hexadecimal.
        found: how many images the set has, with those that could not be used.
        images, people: that the protocol uses, and on how many people.
        images_per_person: at most.
        seed: of the protocol and of the intervals.
        findings: what looking the images over found.
        operating_points, not_measured, auc, eer, roc: over the pairs, as in `PairResult`.
        recommended: the threshold; None where the pairs cannot give it.
        identification: the search with strangers; None with fewer than two people of two images.
        search_similarities: the similarity that a mate must beat at each FPIR of `identification`,
            the larger of both galleries.
    """

    kind: Literal["people"] = "people"
    format: Literal[1] = 1
    benchmark: str
    data: str
    model: MeasuredModel
    flip: bool
    seed: int = Field(ge=0)
    found: int = Field(gt=0)
    images: int = Field(gt=0)
    people: int = Field(gt=0)
    images_per_person: int = Field(gt=0)
    pairs: int = Field(gt=0)
    genuine_pairs: int = Field(gt=0)
    impostor_pairs: int = Field(gt=0)
    findings: tuple[Finding, ...]
    recommended: Recommended | None
    auc: Estimate
    eer: Estimate
    operating_points: tuple[OperatingPoint, ...]
    not_measured: tuple[str, ...]
    roc: tuple[RocPoint, ...]
    identification: Identification | None
    search_similarities: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    intervals: Intervals | None
    embedding_seconds: float = Field(ge=0)

    def figures(self) -> dict[str, Estimate]:
        """Every figure with replicates, by the name that rows and comparisons give it."""
        found = {f"TAR at FAR {point.far:g}": point.tar for point in self.operating_points}
        found |= {"Equal error rate": self.eer, "Area under ROC": self.auc}
        if self.identification is not None:
            for point in self.identification.points:
                if point.fpir * self._strangers() >= 1:
                    found[f"TPIR at FPIR {point.fpir:g}"] = point.tpir
            for rank in self.identification.ranks:
                found[f"Rank {rank.rank}"] = rank.rate
        return found

    def rows(self) -> list[Row]:
        """The figures as text, the recommended threshold first."""
        remarks = {
            f"TAR at FAR {point.far:g}": (
                f"same person if similarity is at least {point.similarity:.4f}; "
                f"FAR there {percent(point.measured_far.value)} "
                f"({percent_interval(point.measured_far)})"
            )
            for point in self.operating_points
        }
        if self.identification is not None:
            remarks |= {
                f"TPIR at FPIR {point.fpir:g}": (
                    "mean of both galleries; the best of all if its similarity is above "
                    f"{similarity:.4f}"
                )
                for point, similarity in zip(
                    self.identification.points, self.search_similarities, strict=True
                )
            }
        rows = [] if self.recommended is None else self._threshold_rows(self.recommended)
        for name, estimate in self.figures().items():
            remark = remarks.get(name, "all pairs")
            if name.startswith("Rank"):
                remark = "both galleries together"
            rows.append(Row(name, percent(estimate.value), percent_interval(estimate), remark))
        return rows

    def _threshold_rows(self, found: Recommended) -> list[Row]:
        ends = found.similarity
        rows = [
            Row(
                f"Recommended threshold, FAR {found.far:g}",
                f"{ends.value:.4f}",
                "" if ends.low is None else f"{ends.low:.4f} to {ends.high:.4f}",
                f"same person if similarity is at least this; TAR there {percent(found.tar)}, "
                f"FAR {percent(found.measured_far.value)} "
                f"({percent_interval(found.measured_far)})",
            )
        ]
        if found.fpir is not None and found.tpir is not None:
            rows += [
                Row(
                    "FPIR at that threshold",
                    percent(found.fpir.value),
                    percent_interval(found.fpir),
                    f"strangers taken for one of {found.gallery:g} enrolled people",
                ),
                Row(
                    "TPIR at that threshold",
                    percent(found.tpir.value),
                    percent_interval(found.tpir),
                    "enrolled people's images that are found",
                ),
            ]
        return rows

    def sentences(self) -> list[str]:
        """What was measured, the protocol, what looking over found, warnings and silences."""
        flip = "image and mirror summed" if self.flip else "without mirror images"
        found = [
            f"{self.pairs:,} pairs ({self.genuine_pairs:,} of one person, "
            f"{self.impostor_pairs:,} of two) of {self.images:,} images of {self.people:,} people; "
            f"{flip}. The set has {self.found:,} images.",
            f"Protocol (ours, seed {self.seed}): at most {self.images_per_person} images of each "
            "person; all their pairs, and all or 100,000 drawn pairs of two people. "
            + self._search_sentence(),
        ]
        measured = {point.far: point.measured_far for point in self.operating_points}
        if self.recommended is not None:
            measured[self.recommended.far] = self.recommended.measured_far
        warnings = [
            low_far_warning(far, round(got.value * self.impostor_pairs), self.impostor_pairs)
            for far, got in measured.items()
        ]
        intervals = interval_sentence(self.intervals)
        if self.intervals is not None and self.identification is not None:
            intervals += " In 1:N the people of the probes are drawn; the galleries stay."
        found += [finding.sentence() for finding in self.findings]
        found += [*self.warnings, intervals]
        found += [warning for warning in warnings if warning is not None]
        return [*found, *self._search_warnings(), *self.not_measured]

    def _strangers(self) -> int:
        return 0 if self.identification is None else min(self.identification.unmated.values())

    def _search_sentence(self) -> str:
        if self.identification is None:
            return "1:N was not measured: it needs two people with two images each."
        sizes = "; ".join(
            f"gallery {name}: {size:,} people, {self.identification.mated[name]:,} images of "
            f"theirs to be found, {self.identification.unmated[name]:,} of strangers"
            for name, size in self.identification.gallery_sizes.items()
        )
        return (
            "1:N enrols half of the people with two or more images, each with one template of half "
            "of the images, and searches the other images, of strangers too; then the other half "
            f"is enrolled ({sizes})."
        )

    def _search_warnings(self) -> list[str]:
        if self.identification is None:
            return []
        strangers, found = self._strangers(), []
        for point in self.identification.points:
            expected = point.fpir * strangers
            if expected < 1:
                found.append(
                    f"TPIR at FPIR {point.fpir:g} needs at least {round(1 / point.fpir):,} images "
                    f"of strangers; there are {strangers:,}."
                )
            elif expected < FEW:
                found.append(
                    f"Warning: TPIR at FPIR {point.fpir:g} rests on {expected:.3g} of "
                    f"{strangers:,} images of strangers (ten or more are wanted)."
                )
        return found

    def paper_columns(self) -> dict[str, float]:
        """Columns under the set's own name: TAR at the FAR asked for, and rank 1, in per cent."""
        columns = {}
        if self.recommended is not None:
            name = f"{self.benchmark}, TAR at FAR {self.recommended.far:g}"
            columns[name] = 100 * self.recommended.tar
        if self.identification is not None:
            rate = next(entry.rate for entry in self.identification.ranks if entry.rank == 1)
            columns[f"{self.benchmark}, rank 1"] = 100 * rate.value
        return columns
