"""From the finished runs of a comparison to its findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketface.benchmarks.bootstrap import interval
from pocketface.compare.budget import Budget
from pocketface.compare.design import Design
from pocketface.compare.findings import (
    ArmFound,
    DifferenceFound,
    Findings,
    MeanFound,
    RunFound,
)
from pocketface.compare.measuring import Measured, Measuring, subject_of
from pocketface.compare.plan import PlannedRun
from pocketface.compare.seeds import (
    FEWEST,
    Spread,
    holm,
    p_value,
    seeds_needed,
    spread_of,
    verdict,
)
from pocketface.compare.state import Finished, read_finished
from pocketface.errors import DataError


@dataclass(frozen=True)
class Evidence:
    """What the finished runs left.

    Attributes:
        finished: by run folder; None for a run that is not finished.
        measured: by run folder and benchmark.
        fixed: by fixed network and benchmark.
    """

    finished: Mapping[Path, Finished | None]
    measured: Mapping[tuple[Path, str], Measured]
    fixed: Mapping[str, Mapping[str, Measured]]


def gather(design: Design, planned: Sequence[PlannedRun], measuring: Measuring) -> Evidence:
    """Read everything that is finished.

    Raises PocketFaceError if a finished run or a report is spoilt.
    """
    finished = {run.folder: read_finished(run) for run in planned}
    measured: dict[tuple[Path, str], Measured] = {}
    fixed: dict[str, dict[str, Measured]] = {}
    for name in design.measure:
        for run in planned:
            if finished[run.folder] is not None:
                found = measuring.read(subject_of(run), name)
                if found is not None:
                    measured[run.folder, name] = found
        for subject in measuring.subjects:
            found = measuring.read(subject, name)
            if found is not None:
                fixed.setdefault(subject.name, {})[name] = found
        _check_one_set(name, [found for (_, of), found in measured.items() if of == name])
    return Evidence(finished, measured, fixed)


def find(
    design: Design,
    planned: Sequence[PlannedRun],
    costs: Mapping[Path, Budget],
    evidence: Evidence,
) -> Findings:
    """Compare the arms by what is there."""
    finished, measured = evidence.finished, evidence.measured
    by_arm: dict[tuple[str, str], dict[int, Measured]] = {}
    for run in planned:
        for name in design.measure:
            if not run.prepared and (run.folder, name) in measured:
                by_arm.setdefault((run.arm, name), {})[run.seed] = measured[run.folder, name]
    examples = {name: found for (_, name), found in measured.items()}
    for figures in evidence.fixed.values():
        examples |= figures
    return Findings(
        title=design.title,
        baseline=design.baseline,
        seeds=design.seeds,
        replicates=design.replicates,
        benchmarks={n: examples[n].figure if n in examples else "" for n in design.measure},
        drawn={name: found.drawn for name, found in examples.items()},
        arms=_arms(design, planned, costs, finished),
        runs=tuple(
            RunFound(
                arm=run.arm,
                seed=run.seed,
                prepared=run.prepared,
                folder=str(run.folder),
                images=costs[run.folder].images,
                finished=finished[run.folder],
                figures={
                    name: measured[run.folder, name].value
                    for name in design.measure
                    if (run.folder, name) in measured
                },
            )
            for run in planned
        ),
        means=tuple(_mean(arm, name, found) for (arm, name), found in by_arm.items()),
        differences=tuple(
            found for name in design.measure for found in _differences(design, name, by_arm)
        ),
        fixed={
            key: {n: m.value for n, m in found.items()} for key, found in evidence.fixed.items()
        },
        warnings=tuple(_warnings(design, planned, costs, finished)),
    )


def _check_one_set(name: str, measured: Sequence[Measured]) -> None:
    if len({found.data for found in measured}) > 1:
        raise DataError(
            f"measure.{name} changed between measurements. Delete the folders reports/ of the runs "
            "and start the comparison again: all are measured anew."
        )


def _arms(
    design: Design,
    planned: Sequence[PlannedRun],
    costs: Mapping[Path, Budget],
    finished: Mapping[Path, Finished | None],
) -> tuple[ArmFound, ...]:
    found = []
    for prepared, arms in ((False, design.arms), (True, design.prepare)):
        for name, arm in arms.items():
            runs = [run for run in planned if run.arm == name and run.prepared == prepared]
            ended = [end for run in runs if (end := finished[run.folder]) is not None]
            cost = costs[runs[0].folder]
            found.append(
                ArmFound(
                    arm=name,
                    title=arm.title or name,
                    prepared=prepared,
                    parameters=cost.network.parameters,
                    macs=cost.network.macs,
                    images=cost.images,
                    finished=len(ended),
                    runs=len(runs),
                    seconds=sum(e.seconds for e in ended) / len(ended) if ended else None,
                )
            )
    return tuple(found)


def _mean(arm: str, benchmark: str, measured: Mapping[int, Measured]) -> MeanFound:
    spread = spread_of([found.value.value for found in measured.values()])
    return MeanFound(
        arm=arm,
        benchmark=benchmark,
        seeds=tuple(measured),
        mean=spread.mean,
        sd=spread.sd,
        low=spread.low,
        high=spread.high,
    )


def _differences(
    design: Design, benchmark: str, by_arm: Mapping[tuple[str, str], Mapping[int, Measured]]
) -> list[DifferenceFound]:
    """The differences on one benchmark: one family for Holm's correction."""
    base = by_arm.get((design.baseline, benchmark), {})
    pairs: dict[str, dict[int, tuple[Measured, Measured]]] = {}
    for arm in design.arms:
        ours = by_arm.get((arm, benchmark), {})
        common = {seed: (ours[seed], base[seed]) for seed in ours if seed in base}
        if arm != design.baseline and common:
            pairs[arm] = common
    each = {
        arm: [one.value.value - other.value.value for one, other in common.values()]
        for arm, common in pairs.items()
    }
    spreads = {arm: spread_of(values) for arm, values in each.items()}
    p_values = [p_value(spread) for spread in spreads.values()]
    return [
        _difference(arm, benchmark, list(pairs[arm]), each[arm], spread, p, corrected, people)
        for (arm, spread), p, corrected, people in zip(
            spreads.items(),
            p_values,
            holm(p_values),
            [_over_people(list(common.values())) for common in pairs.values()],
            strict=True,
        )
    ]


def _difference(
    arm: str,
    benchmark: str,
    seeds: Sequence[int],
    each: Sequence[float],
    spread: Spread,
    p: float | None,
    corrected: float | None,
    people: tuple[float, float] | None,
) -> DifferenceFound:
    return DifferenceFound(
        arm=arm,
        benchmark=benchmark,
        seeds=tuple(seeds),
        differences=tuple(each),
        mean=spread.mean,
        sd=spread.sd,
        low=spread.low,
        high=spread.high,
        people_low=None if people is None else people[0],
        people_high=None if people is None else people[1],
        p=p,
        p_holm=corrected,
        verdict=verdict(spread, corrected, people),
        seeds_needed=seeds_needed(spread),
    )


def _over_people(pairs: Sequence[tuple[Measured, Measured]]) -> tuple[float, float] | None:
    """The interval of the mean difference if other people had been photographed.

    Replicate r of every report drew the same people, so the seeds' differences are averaged
    replicate by replicate.
    """
    return interval(np.mean([ours.draws - theirs.draws for ours, theirs in pairs], axis=0))


def _warnings(
    design: Design,
    planned: Sequence[PlannedRun],
    costs: Mapping[Path, Budget],
    finished: Mapping[Path, Finished | None],
) -> list[str]:
    found = []
    ended = [(run, end) for run in planned if (end := finished[run.folder]) is not None]
    for run, _ in ended:
        # Where the recipes name other files for each seed, they are meant to differ.
        alike = [(other, theirs) for other, theirs in ended if other.arm == run.arm]
        data = {theirs.data for other, theirs in alike if other.recipe.data == run.recipe.data}
        teachers = {
            theirs.taught_by
            for other, theirs in alike
            if other.recipe.distill == run.recipe.distill
        }
        for what, values in (("training images", data), ("teacher", teachers)):
            if len(values) > 1:
                found.append(
                    f"Warning: the {what} of {run.arm} changed between its runs. Delete the "
                    "folders of the older ones and start the comparison again."
                )
    found = list(dict.fromkeys(found))
    images = {costs[run.folder].images for run in planned if not run.prepared}
    if len(images) > 1:
        found.append(
            f"Arms see different numbers of images, {min(images):,} to {max(images):,} in a run: "
            "a difference may come of that."
        )
    versions = {(e.surroundings.version, e.surroundings.torch_version) for _, e in ended}
    if len(versions) > 1:
        told = "; ".join(f"pocketface {ours}, torch {torch}" for ours, torch in sorted(versions))
        found.append(f"Warning: runs were trained with different versions: {told}.")
    if len({e.surroundings for _, e in ended}) > 1 and len(versions) == 1:
        found.append(
            "Not all runs had the same device, threads and number of runs at once: their seconds "
            "cannot be compared."
        )
    if len(design.seeds) < FEWEST:
        found.append(
            f"Warning: few seeds ({len(design.seeds)}). No difference can be judged with fewer "
            f"than {FEWEST}; raise 'seeds' and start the comparison again, what is done is kept."
        )
    return found
