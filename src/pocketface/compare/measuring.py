"""Measuring the networks of a comparison: by `pocketface evaluate`, or in place for raw pixels.

A report that is there and fits (the same network, set, and way of measuring) is not made again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pocketface.benchmarks.bootstrap import interval
from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.benchmarks.pair_figures import figures
from pocketface.benchmarks.replicates import Floats, read_replicates
from pocketface.benchmarks.report import Measurement, write_report
from pocketface.benchmarks.result import Estimate
from pocketface.card import read_card
from pocketface.compare.design import PIXELS, Benchmark, Design, Fixed, folder_name, near_name
from pocketface.compare.plan import PlannedRun
from pocketface.embedding.embedder import fingerprint_of
from pocketface.embedding.load import load_embedder
from pocketface.embedding.pixels import PixelEmbedder
from pocketface.errors import DataError, PocketFaceError, RecipeError


@dataclass(frozen=True)
class Subject:
    """What is measured: weights, the folder of their reports, and a name."""

    name: str
    weights: Path
    reports: Path
    fixed: Fixed | None = None

    def report(self, benchmark: str) -> Path:
        """The `report.json` on the benchmark of this name."""
        return self.reports / folder_name(benchmark) / "report.json"


@dataclass(frozen=True)
class Measured:
    """A figure of one network on one benchmark.

    Attributes:
        figure: its name in the report.
        value: a fraction, with its interval over test people (or what the set has of them).
        drawn: what a bootstrap replicate draws.
        draws: float64 (R,), the figure in each replicate; replicate r drew the same people for
            every network.
        data: content identity of the set.
    """

    figure: str
    value: Estimate
    drawn: str
    draws: Floats
    data: str


class Measuring:
    """How every network of a design is measured.

    Opens the benchmarks and the fixed networks at once. Raises PocketFaceError, naming the entry
    of the design, if one of them cannot be used.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.contents: dict[str, str | None] = {}
        self.fingerprints: dict[str, str] = {}
        for name, benchmark in design.measure.items():
            self.contents[name] = self._content(name, benchmark)
        for name, fixed in design.fixed.items():
            self.fingerprints[name] = _fingerprint(name, fixed)

    def _content(self, name: str, benchmark: Benchmark) -> str | None:
        """The content identity of a pair set; None for a folder, which is opened when measured."""
        if benchmark.path.is_dir():
            if PIXELS in (fixed.weights for fixed in self.design.fixed.values()):
                raise RecipeError(
                    f"measure.{name}: {benchmark.path} is a folder, and pixels can be measured on "
                    "pairs only: leave the fixed network 'pixels' out."
                )
            return None
        try:
            return PairBenchmark.load(benchmark.path, benchmark.images).data
        except PocketFaceError as error:
            raise type(error)(f"measure.{name}: {error}") from error

    def subjects(self, out: Path) -> list[Subject]:
        """The fixed networks."""
        return [
            Subject(name, Path(fixed.weights), out / "fixed" / folder_name(name), fixed)
            for name, fixed in self.design.fixed.items()
        ]

    def command(self, subject: Subject, benchmark: str, threads: int | None) -> list[str]:
        """The words of `pocketface evaluate` for a network."""
        entry = self.design.measure[benchmark]
        words = ["evaluate", str(subject.weights), str(entry.path)]
        words += ["--out", str(subject.report(benchmark).parent), "--no-card"]
        words += ["--replicates", str(self.design.replicates), "--seed", "0"]
        words += [] if self.design.flip else ["--no-flip"]
        words += [] if entry.images is None else ["--images", str(entry.images)]
        words += [] if threads is None else ["--threads", str(threads)]
        if subject.fixed is not None and subject.fixed.preprocessing is not None:
            given = subject.fixed.preprocessing
            words += ["--size", str(given.image_size), "--order", given.channel_order]
            words += ["--mean", ",".join(map(str, given.mean))]
            words += ["--std", ",".join(map(str, given.std))]
        if subject.fixed is not None and subject.fixed.architecture is not None:
            words += ["--architecture", subject.fixed.architecture]
        return words

    def is_measured(self, subject: Subject, benchmark: str) -> bool:
        """Whether a report is there that fits network, set and way of measuring."""
        try:
            report = json.loads(subject.report(benchmark).read_bytes())
            found = (
                report["model"]["fingerprint"],
                report.get("flip", self.design.flip),
                report["intervals"]["replicates"],
                report["intervals"]["seed"],
            )
            content = report["data"]
            read_replicates(subject.report(benchmark))
            if not subject.report(benchmark).with_suffix(".html").is_file():  # written last
                return False
        except (OSError, ValueError, KeyError, TypeError, DataError):
            return False
        wanted = (self._expected(subject), self.design.flip, self.design.replicates, 0)
        return found == wanted and self.contents[benchmark] in (None, content)

    def _expected(self, subject: Subject) -> str | None:
        """The fingerprint of a network as its report must have it; None if it is not there."""
        if subject.fixed is not None:
            return self.fingerprints[subject.name]
        card = read_card(subject.weights) if subject.weights.is_file() else None
        return None if card is None else fingerprint_of(card.sha256, card.preprocessing)

    def measure_pixels(self, subject: Subject, benchmark: str) -> None:
        """Write the report on raw pixels."""
        entry = self.design.measure[benchmark]
        run = PairBenchmark.load(entry.path, entry.images).run(
            PixelEmbedder(),
            flip=self.design.flip,
            replicates=self.design.replicates,
            model=subject.name,
        )
        pictures = figures(run.result, run.scores, run.pairs.same)
        write_report(
            subject.report(benchmark).parent,
            Measurement(run.result, pictures, run.cases, run.replicates, run.scores),
        )

    def read(self, subject: Subject, benchmark: str) -> Measured | None:
        """The figure that is compared, or None if it is not measured yet.

        Raises RecipeError if the report has no figure of the name that the design gives.
        """
        if not self.is_measured(subject, benchmark):
            return None
        kept = read_replicates(subject.report(benchmark))
        figure = self.design.measure[benchmark].figure or next(iter(kept.values))
        if figure not in kept.values:
            raise RecipeError(
                f"measure.{benchmark}: its report has no figure '{figure}'."
                f"{near_name(figure, kept.values)} Figures: {', '.join(kept.values)}."
            )
        draws = kept.draws[figure]
        low, high = interval(draws) or (None, None)
        value = Estimate(value=kept.values[figure], low=low, high=high)
        return Measured(figure, value, kept.drawn, draws, kept.data)


def subject_of(run: PlannedRun) -> Subject:
    """What is measured of a training run."""
    return Subject(run.name, run.weights, run.folder / "reports")


def _fingerprint(name: str, fixed: Fixed) -> str:
    if fixed.weights == PIXELS:
        return PixelEmbedder.fingerprint
    try:
        path = Path(fixed.weights)
        return load_embedder(path, fixed.preprocessing, None, fixed.architecture).fingerprint
    except PocketFaceError as error:
        raise RecipeError(
            f"fixed.{name}: {error} In a comparison it is said so: {{weights: FILE, "
            f"preprocessing: {{image_size: ..., mean: ..., std: ...}}, architecture: NAME}}."
        ) from error
