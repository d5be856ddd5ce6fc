"""Two networks on one set: the difference of each figure, with a paired interval.

Both results were measured on the same people, so most of what makes their figures vary is common
to them and falls out of the difference: its interval is far narrower than theirs suggest. The
replicates that the two runs left (see `replicates`) belong together one by one.
"""

from typing import Literal

import numpy as np

from pocketface.benchmarks.bootstrap import LEVEL, interval
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Estimate, Record, Row
from pocketface.errors import DataError, RecipeError


class Difference(Record):
    """One figure of both networks, fractions, and the first minus the second."""

    figure: str
    first: float
    second: float
    difference: Estimate


class Comparison(Record):
    """The figures that both networks have on one set; the content of `comparison.json`.

    Attributes:
        benchmark: the set.
        first, second: the networks' names.
        drawn, replicates, seed: of the bootstrap, as in `Intervals`.
        differences: by figure.
    """

    kind: Literal["comparison"] = "comparison"
    format: Literal[1] = 1
    benchmark: str
    first: str
    second: str
    drawn: str
    replicates: int
    seed: int
    differences: tuple[Difference, ...]

    def rows(self) -> list[Row]:
        """Each difference as text, in percentage points."""
        return [
            Row(
                entry.figure,
                f"{100 * entry.difference.value:+.3f}",
                ""
                if entry.difference.low is None or entry.difference.high is None
                else f"{100 * entry.difference.low:+.3f} to {100 * entry.difference.high:+.3f}",
                f"{100 * entry.first:.3f} against {100 * entry.second:.3f}; {_verdict(entry)}",
            )
            for entry in self.differences
        ]

    def sentence(self) -> str:
        """How the intervals were made."""
        return (
            f"Differences of {self.first} from {self.second}, in percentage points. Intervals hold "
            f"{LEVEL:.0%} of {self.replicates:,} bootstrap replicates in which both networks met "
            f"the same {self.drawn}; seed {self.seed}."
        )


def check_same_draws(theirs: Replicates, *, replicates: int, seed: int) -> None:
    """Raise RecipeError, before any work, if a run with these options drew other replicates."""
    found = len(next(iter(theirs.draws.values())))
    if (found, theirs.seed) != (replicates, seed):
        raise RecipeError(
            f"the report to compare with was made with --replicates {found} --seed {theirs.seed}, "
            f"this run has --replicates {replicates} --seed {seed}: give the same."
        )


def compare(
    benchmark: str, first: str, ours: Replicates, second: str, theirs: Replicates
) -> Comparison:
    """Compare the figures that both results have; `first` and `second` name the networks.

    Raises DataError if they were measured on other sets or people were drawn otherwise,
    RecipeError if the replicates do not belong together.
    """
    if ours.data != theirs.data:
        raise DataError(
            f"{first} and {second} were measured on different sets (content {ours.data[:12]}... "
            f"and {theirs.data[:12]}...): a paired comparison needs the same images and pairs. "
            "Measure both on one."
        )
    if ours.drawn != theirs.drawn:
        raise DataError(
            f"the replicates of {first} draw {ours.drawn}, those of {second} {theirs.drawn}: give "
            "both runs the same names of images, so that both know who is on them."
        )
    count = len(next(iter(ours.draws.values())))
    check_same_draws(theirs, replicates=count, seed=ours.seed)
    differences = []
    for figure, value in ours.values.items():
        if figure not in theirs.values:
            continue
        ends = interval(np.asarray(ours.draws[figure] - theirs.draws[figure], np.float64))
        differences.append(
            Difference(
                figure=figure,
                first=value,
                second=theirs.values[figure],
                difference=Estimate(
                    value=value - theirs.values[figure],
                    low=None if ends is None else ends[0],
                    high=None if ends is None else ends[1],
                ),
            )
        )
    return Comparison(
        benchmark=benchmark,
        first=first,
        second=second,
        drawn=ours.drawn,
        replicates=count,
        seed=ours.seed,
        differences=tuple(differences),
    )


def _verdict(entry: Difference) -> str:
    low, high = entry.difference.low, entry.difference.high
    if low is None or high is None:
        return "no interval"
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "not told apart"
