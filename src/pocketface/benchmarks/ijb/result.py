"""What a run of IJB-B or IJB-C found, as `report.json` holds it and as text says it."""

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

_PAPER_SETS = {"ijbb": ("IJB-B", 8_010_270), "ijbc": ("IJB-C", 15_658_489)}
"""Column of the papers' table and number of pairs, by the name that the meta files have."""

_PAPER_FAR = 1e-4


class VerificationPoint(Record):
    """TAR at a FAR of the 1:1 protocol: at the point of the ROC whose FAR is nearest.

    Attributes:
        far: the false accept rate aimed at.
        measured_far: the nearest that there is, and the exact interval of it were the pairs
            independent; see `margins.rate_interval`.
        tar: true accept rate.
        similarity: the threshold; None where no number gives this point.
    """

    far: float = Field(gt=0, lt=1)
    measured_far: Estimate
    tar: Estimate
    similarity: float | None = None


class IdentificationPoint(Record):
    """TPIR at an FPIR of the 1:N protocol: the mean over the galleries, and each of them."""

    fpir: float = Field(gt=0, lt=1)
    tpir: Estimate
    galleries: dict[str, Estimate]


class RankPoint(Record):
    """The share of the mated probes, over all galleries, whose mate is among the best `rank`."""

    rank: int = Field(gt=0)
    rate: Estimate
    galleries: dict[str, Estimate]


class CurvePoint(Record):
    """A point of a curve: a rate of false accepts or false positives, and what is found for it."""

    false: float = Field(ge=0, le=1)
    true: float = Field(ge=0, le=1)


class Counting(Record):
    """How the faces of a template counted.

    Attributes:
        keep_norm: with the embedding's own length, or each face alike.
        detector_score: times the detector's score, or not.
    """

    keep_norm: bool
    detector_score: bool

    def text(self) -> str:
        """In words."""
        norm = "the embeddings' own lengths" if self.keep_norm else "faces of length one"
        return f"{norm}, {'with' if self.detector_score else 'without'} detector scores"

    def code(self, *, flip: bool) -> str:
        """The short name that scripts give it, such as N1D1F1: norm, detector score, flip."""
        return f"N{self.keep_norm:d}D{self.detector_score:d}F{flip:d}"


class Identification(Record):
    """The figures of the 1:N protocol.

    Attributes:
        faces: how the faces of a template counted.
        gallery_sizes: templates in each gallery.
        mated, unmated: probes with and without a mate in each gallery.
        curve: TPIR over FPIR, the mean over the galleries.
        cmc: the rates of rank 1, 2, 3 and so on, over all galleries.
    """

    faces: Counting
    gallery_sizes: dict[str, int]
    mated: dict[str, int]
    unmated: dict[str, int]
    points: tuple[IdentificationPoint, ...]
    ranks: tuple[RankPoint, ...]
    curve: tuple[CurvePoint, ...]
    cmc: tuple[float, ...]


class IjbResult(Record):
    """Every figure of one network on IJB-B or IJB-C.

    Attributes:
        protocol: the name that the meta files have, `ijbb` or `ijbc`.
        data: content identity of the meta files and of the images' sizes, hexadecimal.
        flip: whether embeddings were summed over image and mirror.
        verification_faces: how the faces of a template counted in the 1:1 protocol.
        verification: TAR at each FAR.
        roc: the curve of the 1:1 protocol, thinned to points evenly spaced in log FAR.
        identification: the 1:N protocol, where the set has it.
        warnings: about the landmarks.
        identities: connected components of the pairs of one person.
    """

    kind: Literal["ijb"] = "ijb"
    format: Literal[2] = 2
    benchmark: str
    protocol: str
    data: str
    model: MeasuredModel
    flip: bool
    faces: int = Field(gt=0)
    templates: int = Field(gt=0)
    pairs: int = Field(gt=0)
    genuine_pairs: int = Field(gt=0)
    impostor_pairs: int = Field(gt=0)
    identities: int = Field(gt=0)
    verification_faces: Counting
    verification: tuple[VerificationPoint, ...]
    roc: tuple[CurvePoint, ...]
    identification: Identification | None
    warnings: tuple[str, ...]
    intervals: Intervals | None
    embedding_seconds: float = Field(ge=0)

    def figures(self) -> dict[str, Estimate]:
        """Every figure with an interval, by the name that rows and comparisons give it."""
        found = {f"TAR at FAR {point.far:g}": point.tar for point in self.verification}
        if self.identification is not None:
            for one in self.identification.points:
                found[f"TPIR at FPIR {one.fpir:g}"] = one.tpir
            for rank in self.identification.ranks:
                found[f"Rank {rank.rank}"] = rank.rate
        return found

    def rows(self) -> list[Row]:
        """The figures as text: the 1:1 protocol, 1:N over all galleries, then each of them."""
        remarks = [
            "no threshold gives it"
            if point.similarity is None
            else f"same person if similarity is at least {point.similarity:.4f}; FAR there "
            f"{point.measured_far.value:.3g}"
            for point in self.verification
        ]
        figures = self.figures()
        if self.identification is not None:
            one = self.identification
            remarks += ["mean of the galleries"] * len(one.points)
            remarks += ["all galleries together"] * len(one.ranks)
            parts = {f"TPIR at FPIR {point.fpir:g}": point.galleries for point in one.points}
            parts |= {f"Rank {rank.rank}": rank.galleries for rank in one.ranks}
            for gallery in one.gallery_sizes:
                figures |= {f"{name}, {gallery}": part[gallery] for name, part in parts.items()}
                remarks += [""] * len(parts)
        return [
            Row(name, percent(estimate.value), percent_interval(estimate), remark)
            for (name, estimate), remark in zip(figures.items(), remarks, strict=True)
        ]

    def sentences(self) -> list[str]:
        """What was measured, how intervals were made, warnings, and what is not measured."""
        flip = "image and mirror summed" if self.flip else "without mirror images"
        found = [
            f"{self.pairs:,} pairs ({self.genuine_pairs:,} of one person, "
            f"{self.impostor_pairs:,} of two) of {self.templates:,} templates of "
            f"{self.identities:,} people, {self.faces:,} faces; {flip}.",
            f"1:1 with {self.verification_faces.text()} "
            f"({self.verification_faces.code(flip=self.flip)}); TAR at the point of the ROC whose "
            "FAR is nearest.",
        ]
        if self.identification is None:
            found.append("1:N was not measured: the set has no gallery and probe lists.")
        else:
            one = self.identification
            sizes = ", ".join(
                f"{name}: {size:,} templates, {one.mated[name]:,} probes with a mate, "
                f"{one.unmated[name]:,} without"
                for name, size in one.gallery_sizes.items()
            )
            code = one.faces.code(flip=self.flip)
            found.append(f"1:N with {one.faces.text()} ({code}); galleries {sizes}.")
        intervals = interval_sentence(self.intervals)
        if self.intervals is not None and self.identification is not None:
            intervals += " In 1:N the people of the probes are drawn; the galleries stay."
        found += [*self.warnings, intervals]
        for point in self.verification:
            accepted = round(point.measured_far.value * self.impostor_pairs)
            warning = low_far_warning(point.far, accepted, self.impostor_pairs)
            if warning is not None:
                found.append(warning)
        if self.identification is not None:
            fewest = min(self.identification.unmated.values())
            found += [
                f"Warning: TPIR at FPIR {point.fpir:g} rests on {point.fpir * fewest:.3g} of "
                f"{fewest:,} probes without a mate (ten or more are wanted)."
                for point in self.identification.points
                if point.fpir * fewest < 10
            ]
        return found

    def paper_columns(self) -> dict[str, float]:
        """TAR at FAR 1e-4 in per cent under the papers' name of the set, where it is that set.

        A set of that name with another number of pairs goes by its own name.
        """
        column, pairs = _PAPER_SETS.get(self.protocol, (self.benchmark, 0))
        name = column if self.pairs == pairs else self.benchmark
        tar = next(point.tar for point in self.verification if point.far == _PAPER_FAR)
        return {name: 100 * tar.value}
