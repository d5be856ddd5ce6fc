"""A comparison on the screen: images done of all, runs done, what is at work, and the time left."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pocketface.compare.budget import Budget
from pocketface.compare.findings import Findings
from pocketface.compare.plan import PlannedRun
from pocketface.compare.state import images_seen, read_finished
from pocketface.train.log import Screen, duration

_LOOK = 2.0
"""Seconds between two looks into the logs of the runs at work."""


class View:
    """Shows how far the runs are; jobs of other names than theirs are measurements."""

    def __init__(
        self,
        planned: Sequence[PlannedRun],
        costs: Mapping[Path, Budget],
        at_once: int,
        quiet: bool,
    ) -> None:
        self.planned = planned
        self.costs = costs
        self.at_once = at_once
        self.runs = {run.name: run for run in planned}
        self.seen = {
            run.name: costs[run.folder].images if read_finished(run) else images_seen(run)
            for run in planned
        }
        total = sum(costs[run.folder].images for run in planned)
        self.screen = Screen("comparison", total, sum(self.seen.values()), "images", quiet)
        self.working: set[str] = set()
        self.looked = time.monotonic()

    def began(self, job: str) -> None:
        """A job begins."""
        if job in self.runs:
            self.working.add(job)
            self.screen.say(f"begins: {job}")

    def look(self) -> None:
        """Look how far the runs at work are, but not too often."""
        if time.monotonic() - self.looked < _LOOK:
            return
        self.looked = time.monotonic()
        for name in sorted(self.working):
            self._advance(name, images_seen(self.runs[name]))

    def done(self, job: str, findings: Findings) -> None:
        """A job has ended well."""
        if job in self.runs:
            self.working.discard(job)
            self._advance(job, self.costs[self.runs[job].folder].images)
        for run in findings.runs:
            name = f"{run.arm}, seed {run.seed}"
            if len(run.figures) == len(findings.benchmarks) and job.startswith(f"{name} on "):
                figures = ", ".join(f"{e.value:.2%} on {of}" for of, e in run.figures.items())
                self.screen.say(f"{name}: {figures}; {self._left(findings)}")

    def close(self) -> None:
        """Leave the screen in order."""
        self.screen.close()

    def _left(self, findings: Findings) -> str:
        seconds = seconds_left(self.planned, self.costs)
        left = f", about {duration(seconds / self.at_once)} of training left" if seconds else ""
        return f"{findings.done} of {len(findings.runs)} runs done{left}"

    def _advance(self, name: str, images: int) -> None:
        step = images - self.seen[name]
        self.seen[name] = images
        self.screen.note = "; ".join(sorted(self.working))
        self.screen.advance(step)


def seconds_left(planned: Iterable[PlannedRun], costs: Mapping[Path, Budget]) -> float | None:
    """About how long the training that is left takes, one run at a time; None before the first.

    An arm none of whose runs is finished is taken to be as fast as the others on the average.
    """
    rates: dict[str, list[float]] = {}
    left: list[tuple[str, int]] = []
    for run in planned:
        finished = read_finished(run)
        if finished is None:
            left.append((run.arm, max(0, costs[run.folder].images - images_seen(run))))
        else:
            rates.setdefault(run.arm, []).append(finished.seconds / max(1, finished.images))
    if not rates:
        return None
    means = {arm: sum(values) / len(values) for arm, values in rates.items()}
    usual = sum(means.values()) / len(means)
    return sum(means.get(arm, usual) * images for arm, images in left)
