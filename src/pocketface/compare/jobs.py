"""Running a comparison's commands, one or several at once, until all are done or a stop is asked.

Each is a process of its own, so that a run that dies takes nothing with it. A run that fails
leaves its arm out for this sitting; the other arms go on.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pocketface.compare.process import Process, Start, Stop
from pocketface.errors import PocketFaceError

_PAUSE = 0.1
"""Seconds between two looks at the processes."""

_STOPPED = (130, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes of a command that was asked to stop."""


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: for messages, different for every job.
        group: what else is left out if it fails.
        words: the command, asked for when it starts.
        log: the file of its output.
        ended: called when it has ended well; what it raises counts as a failure.
        needs: names of jobs that must have ended well before.
        alone: jobs with the same text do not begin at the same time: the second waits until
            `begun` of the first is true, or it has ended.
        begun: see `alone`.
    """

    name: str
    group: str
    words: Callable[[], list[str]]
    log: Path
    ended: Callable[[], object]
    needs: tuple[str, ...] = ()
    alone: str | None = None
    begun: Callable[[], bool] = lambda: True


@dataclass
class Outcome:
    """How a sitting ended.

    Attributes:
        failed: by the job's name, what it said last.
        left: jobs that were not begun or were stopped.
        stopped: whether a stop was asked for.
    """

    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    stopped: bool = False


def run_jobs(
    jobs: Sequence[Job],
    start: Start,
    stop: Stop,
    *,
    at_once: int = 1,
    began: Callable[[Job], None] = lambda job: None,
    done: Callable[[Job], None] = lambda job: None,
    look: Callable[[], None] = lambda: None,
) -> Outcome:
    """Carry out `jobs` in their order, `at_once` at a time; gives how it ended.

    When a stop is asked for, no job is begun any more, and those at work are told by SIGTERM and
    waited for. `began` and `done` hear of each job, `look` is called again and again.
    """
    outcome = Outcome()
    waiting = list(jobs)
    working: dict[str, tuple[Job, Process]] = {}
    open_names = {job.name for job in jobs}
    told = False
    try:
        while True:
            if stop.asked or outcome.stopped:
                outcome.stopped = True
                if not told:
                    for _, process in working.values():
                        process.send_signal(signal.SIGTERM)
                told = True
            while not outcome.stopped and len(working) < at_once:
                job = _next(waiting, open_names, [job for job, _ in working.values()])
                if job is None:
                    break
                waiting.remove(job)
                began(job)
                working[job.name] = (job, start(job.words(), job.log))
            if not working:
                break
            for job, process in list(working.values()):
                code = process.poll()
                if code is None:
                    continue
                del working[job.name]
                reason = _end(job, code, outcome)
                if reason is None and code == 0:
                    open_names.discard(job.name)
                    done(job)
                elif reason is not None:
                    outcome.failed[job.name] = reason
                    waiting = [other for other in waiting if other.group != job.group]
            look()
            if working:
                time.sleep(_PAUSE)
    finally:
        for _, process in working.values():
            process.kill()
    outcome.left = [job.name for job in jobs if job.name in open_names - outcome.failed.keys()]
    return outcome


def _next(waiting: Sequence[Job], open_names: set[str], working: Sequence[Job]) -> Job | None:
    """The first job that may begin."""
    beginning = {job.alone for job in working if job.alone is not None and not job.begun()}
    for job in waiting:
        if not open_names.intersection(job.needs) and job.alone not in beginning:
            return job
    return None


def _end(job: Job, code: int, outcome: Outcome) -> str | None:
    """Why a job that has ended failed; None if it ended well or was stopped."""
    if code == 0:
        try:
            job.ended()
        except PocketFaceError as error:
            return str(error)
        return None
    if outcome.stopped or code in _STOPPED:
        outcome.stopped = True
        return None
    return f"{_last_words(job.log)} (exit code {code}; the whole is in {job.log})"


def _last_words(log: Path) -> str:
    """What a command said last: its error message, or its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    for place in range(len(lines) - 1, -1, -1):
        if lines[place].startswith("error:"):
            return "\n".join(lines[place:]).removeprefix("error:").strip()
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
