"""One sitting of a comparison: what is not done yet is done, the tables grow with every run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pocketface.compare.budget import budgets
from pocketface.compare.design import PIXELS, Design
from pocketface.compare.findings import Findings
from pocketface.compare.gather import find, gather
from pocketface.compare.jobs import Job, Outcome, run_jobs
from pocketface.compare.measuring import Measuring, Subject, subject_of
from pocketface.compare.plan import PlannedRun, plan_runs
from pocketface.compare.process import Process, Stop, hold
from pocketface.compare.state import (
    Surroundings,
    check_unchanged,
    images_seen,
    is_begun,
    note_finished,
    read_finished,
)
from pocketface.compare.view import View
from pocketface.train.recipe import save_recipe


@dataclass(frozen=True)
class Options:
    """How a sitting goes; none of it decides an outcome.

    Attributes:
        device, threads: as `pocketface train` takes them.
        at_once: runs at a time.
        minutes: how long the sitting may last; None: to the end.
        quiet: print nothing.
    """

    device: str = "auto"
    threads: int | None = None
    at_once: int = 1
    minutes: float | None = None
    quiet: bool = False


class Sitting:
    """A comparison in its folder, checked and ready to be carried out.

    Raises PocketFaceError, before anything is begun, if a recipe, data, weights or a benchmark
    cannot be used, or if a run in the folder had another recipe.
    """

    def __init__(self, design: Design, out: Path, options: Options) -> None:
        self.design = design
        self.out = out
        self.options = options
        self.planned = plan_runs(design, out)
        self.costs = budgets(self.planned)
        self.measuring = Measuring(design, out)
        check_unchanged(self.planned)

    def findings(self) -> Findings:
        """What is known so far."""
        evidence = gather(self.design, self.planned, self.measuring)
        return find(self.design, self.planned, self.costs, evidence)

    def carry_out(
        self,
        start: Callable[[Sequence[str], Path, Sequence[int]], Process],
        publish: Callable[[Findings], object],
    ) -> tuple[Findings, Outcome]:
        """Do what is not done; gives what was found and how the sitting ended.

        Args:
            start: starts a command, see `process.start_process`.
            publish: is given the findings after each run, and at the end.

        Raises RecipeError if another comparison works in the folder.
        """
        with (
            hold(self.out) as lock,
            Stop(None if self.options.minutes is None else 60 * self.options.minutes) as stop,
        ):
            for subject in self.measuring.subjects:
                for name in self.design.measure:
                    if subject.fixed is not None and subject.fixed.weights == PIXELS:
                        self._pixels(subject, name)
            jobs = self._jobs()
            view = View(self.planned, self.costs, self.options.at_once, self.options.quiet)
            publish(self.findings())
            try:
                outcome = run_jobs(
                    jobs,
                    lambda words, log: start(words, log, (lock,)),
                    stop,
                    at_once=self.options.at_once,
                    began=lambda job: view.began(job.name),
                    done=partial(self._done, view, publish),
                    look=view.look,
                )
            finally:
                view.close()
            findings = _with_failures(self.findings(), outcome)
            publish(findings)
        return findings, outcome

    def _pixels(self, subject: Subject, benchmark: str) -> None:
        if not self.measuring.is_measured(subject, benchmark):
            self.measuring.measure_pixels(subject, benchmark)

    def _done(self, view: View, publish: Callable[[Findings], object], job: Job) -> None:
        findings = self.findings()
        view.done(job.name, findings)
        publish(findings)

    def _jobs(self) -> list[Job]:
        jobs = [
            self._measuring_job(subject, benchmark, ())
            for subject in self.measuring.subjects
            for benchmark in self.design.measure
            if not self.measuring.is_measured(subject, benchmark)
        ]
        names = {run.folder: run.name for run in self.planned}
        for run in self.planned:
            if read_finished(run) is None:
                jobs.append(self._training_job(run, tuple(names[path] for path in run.needs)))
            subject = subject_of(run)
            jobs += [
                self._measuring_job(subject, benchmark, (run.name,), run.arm)
                for benchmark in self.design.measure
                if not self.measuring.is_measured(subject, benchmark)
            ]
        return jobs

    def _training_job(self, run: PlannedRun, needs: tuple[str, ...]) -> Job:
        cache = None if run.recipe.distill is None else run.recipe.distill.cache
        surroundings = Surroundings(
            device=self.options.device,
            threads=self.options.threads,
            at_once=self.options.at_once,
        )
        return Job(
            name=run.name,
            group=run.arm,
            words=partial(self._train, run),
            log=self._log(run.arm, f"seed_{run.seed}"),
            ended=lambda: note_finished(run, surroundings),
            needs=needs,
            # Two runs that fill one cache of a teacher's embeddings would both do all its work.
            alone=None if cache is None else str(cache),
            begun=lambda: images_seen(run) > 0,
        )

    def _train(self, run: PlannedRun) -> list[str]:
        recipe = run.folder / "recipe.yaml"
        begun = is_begun(run)
        if not begun:
            save_recipe(run.recipe, recipe)
        words = ["train", str(recipe), "--out", str(run.folder), "--device", self.options.device]
        words += [] if self.options.threads is None else ["--threads", str(self.options.threads)]
        return [*words, "--resume"] if begun else words

    def _measuring_job(
        self, subject: Subject, benchmark: str, needs: tuple[str, ...], group: str | None = None
    ) -> Job:
        return Job(
            name=f"{subject.name} on {benchmark}",
            group=group or subject.name,
            words=partial(self.measuring.command, subject, benchmark, self.options.threads),
            log=self._log(group or "fixed", "measure"),
            ended=lambda: None,
            needs=needs,
        )

    def _log(self, folder: str, name: str) -> Path:
        return self.out / "logs" / folder / f"{name}.log"


def _with_failures(findings: Findings, outcome: Outcome) -> Findings:
    told = [f"Warning: {name} failed: {reason}" for name, reason in outcome.failed.items()]
    return findings.model_copy(update={"warnings": (*findings.warnings, *told)})
