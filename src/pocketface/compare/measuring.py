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
from pocketface.compare.design import PIXELS, Design, Fixed
from pocketface.compare.names import filled, folder_name, near_name
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

    def __init__(self, design: Design, out: Path) -> None:
        self.design = design
        self.out = out
        words = design.names | {"out": str(out)}
        self.sets: dict[str, tuple[Path, Path | None]] = {}
        self.contents: dict[str, str | None] = {}
        self.subjects: list[Subject] = []
        self.fingerprints: dict[str, str] = {}
        for name, benchmark in design.measure.items():
            try:
                path, images = (filled(text, words) for text in (benchmark.path, benchmark.images))
                self.sets[name] = (Path(path), None if images is None else Path(images))
                self.contents[name] = self._content(*self.sets[name])
            except PocketFaceError as error:
                raise type(error)(f"measure.{name}: {error}") from error
        for name, fixed in design.fixed.items():
            try:
                weights = Path(filled(fixed.weights, words))
                self.fingerprints[name] = _fingerprint(weights, fixed)
            except PocketFaceError as error:
                raise type(error)(
                    f"fixed.{name}: {error} In a comparison it is said so: {{weights: FILE, "
                    "preprocessing: {image_size: ..., mean: ..., std: ...}, architecture: NAME}."
                ) from error
            folder = out / "fixed" / folder_name(name)
            self.subjects.append(Subject(name, weights, folder, fixed))

    def _content(self, path: Path, images: Path | None) -> str | None:
        """The content identity of a pair set; None for a folder, which is opened when measured."""
        if not path.is_dir():
            return PairBenchmark.load(path, images).data
        if PIXELS in (fixed.weights for fixed in self.design.fixed.values()):
            raise RecipeError(
                f"{path} is a folder, and pixels can be measured on pairs only: leave the fixed "
                f"network '{PIXELS}' out."
            )
        return None

    def command(self, subject: Subject, benchmark: str, threads: int | None) -> list[str]:
        """The words of `pocketface evaluate` for a network."""
        path, images = self.sets[benchmark]
        words = ["evaluate", str(subject.weights), str(path)]
        words += ["--out", str(subject.report(benchmark).parent), "--no-card"]
        words += ["--replicates", str(self.design.replicates), "--seed", "0"]
        words += [] if self.design.flip else ["--no-flip"]
        words += [] if images is None else ["--images", str(images)]
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
        run = PairBenchmark.load(*self.sets[benchmark]).run(
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
                f"{near_name(figure, kept.values)} Figures: {'; '.join(kept.values)}."
            )
        draws = kept.draws[figure]
        low, high = interval(draws) or (None, None)
        value = Estimate(value=kept.values[figure], low=low, high=high)
        return Measured(figure, value, kept.drawn, draws, kept.data)


def subject_of(run: PlannedRun) -> Subject:
    """What is measured of a training run."""
    return Subject(run.name, run.weights, run.folder / "reports")


def _fingerprint(weights: Path, fixed: Fixed) -> str:
    if fixed.weights == PIXELS:
        return PixelEmbedder.fingerprint
    return load_embedder(weights, fixed.preprocessing, None, fixed.architecture).fingerprint
