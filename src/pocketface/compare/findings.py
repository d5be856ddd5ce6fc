"""What a comparison found, whole or so far: the content of `compare.json`.

All figures and differences are fractions, times are seconds.
"""

from typing import Literal

from pocketface.benchmarks.bootstrap import LEVEL
from pocketface.benchmarks.result import Estimate, Record
from pocketface.compare.seeds import Verdict
from pocketface.compare.state import Finished


class RunFound(Record):
    """One training run: whether it is done, what it cost, and what it reaches by benchmark.

    The intervals of `figures` are over test people: this network, other people.
    """

    arm: str
    seed: int
    prepared: bool
    folder: str
    images: int
    finished: Finished | None
    figures: dict[str, Estimate]


class MeanFound(Record):
    """An arm on one benchmark: mean and standard deviation over seeds, Student's interval."""

    arm: str
    benchmark: str
    seeds: tuple[int, ...]
    mean: float
    sd: float | None
    low: float | None
    high: float | None


class DifferenceFound(Record):
    """An arm minus the baseline on one benchmark, over the seeds that both have finished.

    Attributes:
        differences: by seed, in the order of `seeds`.
        mean, sd: of the differences.
        low, high: Student's interval of the mean: other seeds, these test people.
        people_low, people_high: bootstrap interval of the mean: these networks, other people.
        p: of the paired t test; `p_holm`: corrected for the other arms on this benchmark.
        verdict: what may be said.
        seeds_needed: about how many would tell it from 0, if it is real.
    """

    arm: str
    benchmark: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    people_low: float | None
    people_high: float | None
    p: float | None
    p_holm: float | None
    verdict: Verdict
    seeds_needed: int | None


class ArmFound(Record):
    """An arm, or what was prepared: what a run of it costs; means over its finished runs."""

    arm: str
    title: str
    prepared: bool
    parameters: int
    macs: int
    images: int
    finished: int
    runs: int
    seconds: float | None


class Findings(Record):
    """Everything; see the parts.

    Attributes:
        benchmarks: the figure that is compared, by benchmark; "" while nothing is measured.
        drawn: what the bootstrap draws, by benchmark.
        fixed: figures of the fixed networks, by network and benchmark.
        warnings: what a reader must not miss.
    """

    kind: Literal["compare"] = "compare"
    format: Literal[1] = 1
    title: str
    baseline: str
    seeds: tuple[int, ...]
    level: float = LEVEL
    replicates: int
    benchmarks: dict[str, str]
    drawn: dict[str, str]
    arms: tuple[ArmFound, ...]
    runs: tuple[RunFound, ...]
    means: tuple[MeanFound, ...]
    differences: tuple[DifferenceFound, ...]
    fixed: dict[str, dict[str, Estimate]]
    warnings: tuple[str, ...]

    @property
    def done(self) -> int:
        """Runs that are finished and measured on everything."""
        return sum(
            run.finished is not None and len(run.figures) == len(self.benchmarks)
            for run in self.runs
        )

    def title_of(self, arm: str) -> str:
        """What an arm is called in tables."""
        return next(found.title for found in self.arms if found.arm == arm)
