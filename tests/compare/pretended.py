"""Findings of a comparison that nobody ran: any figures, for tables, pictures and pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pocketface.benchmarks.bootstrap import interval
from pocketface.benchmarks.result import Estimate
from pocketface.compare.budget import Budget
from pocketface.compare.design import Design
from pocketface.compare.findings import Findings
from pocketface.compare.gather import Evidence, find
from pocketface.compare.measuring import Measured
from pocketface.compare.plan import plan_runs
from pocketface.compare.state import Finished, Surroundings
from pocketface.models.cost import Cost

Accuracies = Mapping[str, Mapping[str, Sequence[float]]]
"""In per cent, by benchmark and arm, one a seed; NaN for what is not measured."""


def measured(per_cent: float, seed: int = 0, spread: float = 0.5) -> Measured:
    """A figure whose replicates lie around it, the same people drawn for every network."""
    people = np.random.default_rng(7).normal(0, 0.01 * spread, 200)
    own = np.random.default_rng(seed).normal(0, 0.002 * spread, 200)
    draws = per_cent / 100 + people + own
    low, high = interval(draws) or (None, None)
    return Measured("Accuracy", Estimate(value=per_cent / 100, low=low, high=high), "people",
                    draws, "data")  # fmt: skip


def pretend(
    accuracies: Accuracies,
    *,
    titles: Mapping[str, str] | None = None,
    fixed: Mapping[str, float] | None = None,
    teacher: float | None = None,
    baseline: str | None = None,
) -> Findings:
    """What would have been found."""
    arms = list(next(iter(accuracies.values())))
    seeds = max(len(values) for each in accuracies.values() for values in each.values())
    content = {
        "title": "Ways to distil <on real faces>",
        "recipe": "pocketnet_nano",
        "seeds": seeds,
        "arms": {arm: {"title": (titles or {}).get(arm, arm)} for arm in arms},
        "baseline": baseline or arms[0],
        "prepare": {"teacher": {}} if teacher is not None else {},
        "measure": dict.fromkeys(accuracies, "x"),
        "fixed": dict.fromkeys(fixed or {}, "x"),
    }
    design = Design.model_validate(content)
    planned = plan_runs(design, Path("out"))
    costs = {run.folder: Budget(63_360, Cost(261_536, 10_000_000, 0)) for run in planned}
    figures, finished = {}, {}
    for number, run in enumerate(planned):
        for name, each in accuracies.items():
            if run.prepared:
                assert teacher is not None
                figures[run.folder, name] = measured(teacher, number)
            elif run.seed < len(each[run.arm]) and not np.isnan(each[run.arm][run.seed]):
                figures[run.folder, name] = measured(each[run.arm][run.seed], number)
        done = any(folder == run.folder for folder, _ in figures)
        finished[run.folder] = ended(number) if done else None
    besides = {
        name: {benchmark: measured(value) for benchmark in accuracies}
        for name, value in (fixed or {}).items()
    }
    return find(design, planned, costs, Evidence(finished, figures, besides))


def ended(number: int) -> Finished:
    """A run that took some minutes."""
    return Finished(
        steps=495,
        images=63_360,
        seconds=300 + 10 * number,
        weights=f"{number:064x}",
        data="faces",
        surroundings=Surroundings(device="cpu", threads=1, at_once=2),
    )


REAL = {
    "LFW, open set": {
        "alone": [86.33, 86.77, 86.57, 86.40, 86.62],
        "foreign": [86.93, 87.07, 86.30, 86.71, 87.20],
        "multi_step": [85.97, 86.63, 85.97, 86.60, 86.35],
        "angular": [88.31, 88.70, 88.52, 88.35, 88.60],
        "heavy": [85.10, 85.62, 85.35, 85.01, 85.50],
        "rank": [86.66, 87.09, 86.92, 86.69, 86.97],
        "late": [87.0, 87.3],
    }
}
TITLES = {
    "alone": "pocketnet_nano alone",
    "foreign": "embedding distillation from a foreign MobileFaceNet",
    "multi_step": "multi-step distillation from the small teacher",
    "angular": "angular distillation at four blocks",
    "heavy": "weight 2,000",
    "rank": "EKD",
    "late": "begun last",
}
