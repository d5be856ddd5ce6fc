"""Taking parts in several processes. Which process takes a part never shows in its bytes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from pocketface.errors import PocketFaceError
from pocketface.synthetic.sets.shot import Renderer


class Job(Protocol):
    """A part of a set; it can be pickled."""

    def run(self, render: Renderer | None = None) -> None:
        """Take its pictures and write them."""
        ...


_J = TypeVar("_J", bound=Job)


def take_parts(jobs: Sequence[_J], workers: int, render: Renderer | None = None) -> Generator[_J]:
    """Run `jobs` in `workers` processes; yield each as it is done, in any order.

    One worker is this process itself. When the caller stops early (and closes the iterator), parts
    that have been begun are finished and the others are left. `render` must be importable by name.
    Raises PocketFaceError if a process dies.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            job.run(render)
            yield job
        return
    # Spawned, not forked: torch must not be forked once it has run.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_begin)
    try:
        futures = {pool.submit(job.run, render): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool as error:
        raise PocketFaceError(
            "a process that takes pictures was killed; perhaps memory ran out. What is whole is "
            "kept: run the same command again, with fewer --workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
