"""What a run of MegaFace found, as `report.json` holds it and as text says it."""

from typing import Literal

from pydantic import Field

from pocketface.benchmarks.margins import low_far_warning
from pocketface.benchmarks.megaface.verification import PROTOCOL_FARS
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

_REAL_PROBES = 3530
_REAL_DISTRACTORS = 1_000_000
_PAPER_COLUMNS = {"raw": "MegaFace", "refined": "MegaFace(R)"}
_PAPER_FAR = 1e-6


class CmcPoint(Record):
    """Identification against one list of distractors.

    Attributes:
        distractors: the list's size.
        compared: how many of them were compared: not those that are missing or noise.
        rates: of the ranks 1 to 10, how many of the ordered pairs reach the rank.
    """

    distractors: int = Field(gt=0)
    compared: int = Field(gt=0)
    rates: tuple[Estimate, ...]


class FarResult(Record):
    """Verification at a FAR: 'same person' if the cosine similarity reaches `similarity`.

    Attributes:
        far: the false accept rate aimed at; the threshold gives the largest TAR for it.
        accepted: impostor pairs that pass.
        measured_far: their share, and its exact interval were the pairs independent.
        tar: true accept rate.
        similarity: the threshold; None if none does it, since similarities of 1 are to be rejected.
    """

    far: float = Field(gt=0, lt=1)
    accepted: int = Field(ge=0)
    measured_far: Estimate
    tar: Estimate
    similarity: float | None = Field(ge=-1, le=1)


class CurvePoint(Record):
    """A point of the curve's steep end: accepts `tar` of the genuine pairs for `far`."""

    far: float = Field(ge=0, le=1)
    tar: float = Field(ge=0, le=1)


class ProtocolResult(Record):
    """The figures of the raw or the refined protocol.

    Attributes:
        impostor_pairs: every probe with every distractor of the largest list.
        cmc: identification, by rising number of distractors.
        points: verification, by rising FAR.
        roc: from no accepted impostor pair to the largest FAR of `points`.
    """

    name: Literal["raw", "refined"]
    impostor_pairs: int = Field(gt=0)
    cmc: tuple[CmcPoint, ...]
    points: tuple[FarResult, ...]
    roc: tuple[CurvePoint, ...]


class MegafaceResult(Record):
    """Every figure of one network on MegaFace.

    Attributes:
        data: content identity of the lists and the noise lists, hexadecimal.
        flip: whether embeddings were summed over image and mirror; None for features of others.
        probes, people, genuine_pairs: images, who is on them, ordered pairs of one person.
        distractors: images that any list names.
        missing_probes, missing_distractors: of those listed, how many nobody had.
        noisy_probes, noisy_distractors: of those compared, how many the noise lists name.
        protocols: 'raw', 'refined', or both.
        notes: sentences on the set.
        embedding_seconds, comparing_seconds: what the network and what the protocol took.
    """

    kind: Literal["megaface"] = "megaface"
    format: Literal[2] = 2
    benchmark: str
    data: str
    model: MeasuredModel
    flip: bool | None
    probes: int = Field(gt=0)
    people: int = Field(gt=0)
    genuine_pairs: int = Field(gt=0)
    distractors: int = Field(gt=0)
    missing_probes: int = Field(ge=0)
    missing_distractors: int = Field(ge=0)
    noisy_probes: int = Field(ge=0)
    noisy_distractors: int = Field(ge=0)
    protocols: tuple[ProtocolResult, ...]
    notes: tuple[str, ...]
    intervals: Intervals | None
    embedding_seconds: float = Field(ge=0)
    comparing_seconds: float = Field(ge=0)

    def rows(self) -> list[Row]:
        """The figures as text, each protocol's rank 1 and TAR first."""
        rows = []
        for protocol in self.protocols:
            *smaller, largest = protocol.cmc
            rows.append(_rank_row(protocol.name, 1, largest))
            rows += [_far_row(protocol.name, point) for point in protocol.points]
            rows += [_rank_row(protocol.name, rank, largest) for rank in (5, 10)]
            rows += [_rank_row(protocol.name, 1, entry) for entry in reversed(smaller)]
        return rows

    def sentences(self) -> list[str]:
        """What was measured, how intervals were made, warnings, and what is not measured."""
        flip = {
            True: "image and mirror summed",
            False: "without mirror images",
            None: "features as they were given",
        }[self.flip]
        measured = (
            f"{self.probes:,} probes of {self.people:,} people ({self.genuine_pairs:,} ordered "
            f"pairs of one person) against up to {self.protocols[0].cmc[-1].distractors:,} "
            f"distractors; {flip}."
        )
        noise = (
            f"Noise: {self.noisy_probes:,} of the probes and {self.noisy_distractors:,} of the "
            "distractors; the refined protocol replaces such a probe by the normalised sum of its "
            "person's clean features, and leaves such a distractor out."
        )
        intervals = interval_sentence(self.intervals)
        if self.intervals is not None:
            intervals += " The people are those of the probes; the distractors stay."
        refined = any(protocol.name == "refined" for protocol in self.protocols)
        return [
            measured,
            *([noise] if refined else []),
            intervals,
            *self._missing(),
            *self._margins(),
            *self.notes,
        ]

    def paper_columns(self) -> dict[str, float]:
        """TAR at FAR 1e-6 in per cent under the papers' names, where the lists are theirs."""
        columns = {}
        for protocol in self.protocols:
            real = (
                self.probes + self.missing_probes == _REAL_PROBES
                and protocol.cmc[-1].distractors == _REAL_DISTRACTORS
            )
            for point in protocol.points:
                if point.far == _PAPER_FAR and real:
                    columns[_PAPER_COLUMNS[protocol.name]] = 100 * point.tar.value
        return columns

    def _missing(self) -> list[str]:
        if not self.missing_probes and not self.missing_distractors:
            return []
        return [
            f"Warning: {self.missing_probes:,} probes and {self.missing_distractors:,} distractors "
            "of the lists are missing and were left out of every figure."
        ]

    def _margins(self) -> list[str]:
        """Warnings and silences of the protocols' FARs."""
        found: list[str | None] = []
        for far in sorted(
            {*PROTOCOL_FARS, *(p.far for entry in self.protocols for p in entry.points)}
        ):
            small = []
            for protocol in self.protocols:
                for point in protocol.points:
                    if point.far == far:
                        found.append(low_far_warning(far, point.accepted, protocol.impostor_pairs))
                if far * protocol.impostor_pairs < 1:
                    small.append(f"{protocol.impostor_pairs:,} ({protocol.name})")
            if small:
                found.append(
                    f"TAR at FAR {far:g} needs at least {round(1 / far):,} impostor pairs; here "
                    f"are {' and '.join(small)}."
                )
        return [text for text in found if text is not None]


def _rank_row(protocol: str, rank: int, entry: CmcPoint) -> Row:
    estimate = entry.rates[rank - 1]
    left_out = entry.distractors - entry.compared
    return Row(
        f"Rank {rank}, {entry.distractors:,} distractors, {protocol}",
        percent(estimate.value),
        percent_interval(estimate),
        f"{left_out:,} of the list left out" if left_out else "",
    )


def _far_row(protocol: str, point: FarResult) -> Row:
    threshold = (
        "no threshold does it"
        if point.similarity is None
        else f"same person if similarity is at least {point.similarity:.4f}"
    )
    return Row(
        f"TAR at FAR {point.far:g}, {protocol}",
        percent(point.tar.value),
        percent_interval(point.tar),
        f"{threshold}; {point.accepted:,} impostor pairs pass",
    )
