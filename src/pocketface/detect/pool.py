"""Photographs aligned in several processes, which write their crops themselves."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from pocketface.atomic import write_bytes
from pocketface.data.jpeg import encode_png
from pocketface.detect.align_photo import UNREADABLE, Outcome, align_photo
from pocketface.detect.detector import Detector
from pocketface.detect.photo import read_file
from pocketface.detect.quality import Limits
from pocketface.errors import DataError, PocketFaceError

_BATCH = 4
"""Photographs that a process takes at once; on Ctrl-C those that were taken are finished."""

_AHEAD = 3
"""Batches that wait for each process, so that none is idle and none waits long in vain."""


class Task(NamedTuple):
    """A photograph and where its crop goes, paths below the two folders."""

    photo: str
    crop: str


class Finished(NamedTuple):
    """A photograph's state when it was read (bytes, time of change in ns), and its outcome."""

    state: tuple[int, int]
    outcome: Outcome


class Pool:
    """`workers` processes that read below `folder` and write below `out`.

    `make` builds each process's detector; it must be picklable.
    """

    def __init__(
        self, folder: Path, out: Path, make: Callable[[], Detector], limits: Limits, workers: int
    ) -> None:
        # Spawned, not forked: OpenCV's threads do not survive a fork.
        self._executor = ProcessPoolExecutor(
            workers,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(folder, out, make, limits),
        )
        self._most = _AHEAD * workers
        self._running: dict[Future[list[Finished]], Sequence[Task]] = {}

    def run(self, tasks: Sequence[Task]) -> Iterator[list[Finished]]:
        """Carry out `tasks`; yield them as they are done, in any order.

        Raises PocketFaceError if a process dies, OSError where a crop cannot be written.
        """
        batches = iter([tasks[start : start + _BATCH] for start in range(0, len(tasks), _BATCH)])
        try:
            # The processes start here, and Ctrl-C reaches them too: they are born deaf to it.
            with _deaf():
                self._submit(itertools.islice(batches, self._most))
            while self._running:
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    found = future.result()
                    del self._running[future]
                    yield found
                self._submit(itertools.islice(batches, len(done)))
        except BrokenProcessPool as error:
            names = [task.photo for batch in self._running.values() for task in batch]
            raise PocketFaceError(
                "a process was killed while it aligned one of "
                f"{', '.join(names[:_BATCH])}{', ...' if len(names) > _BATCH else ''}; perhaps "
                "memory ran out. What is done is kept: run the same command again, with fewer "
                "--workers, or leave that photograph out."
            ) from error

    def stop(self) -> list[list[Finished]]:
        """End the processes when they have finished what they took; gives what `run` did not."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        left = [
            future.result()
            for future in self._running
            if future.done() and not future.cancelled() and future.exception() is None
        ]
        self._running = {}
        return left

    def _submit(self, batches: Iterator[Sequence[Task]]) -> None:
        for batch in batches:
            self._running[self._executor.submit(_work, batch)] = batch


class _Worker(NamedTuple):
    folder: Path
    out: Path
    detector: Detector
    limits: Limits


_workers: list[_Worker] = []
"""This process's own, once `_begin` has run; empty in every other process."""


def _begin(folder: Path, out: Path, make: Callable[[], Detector], limits: Limits) -> None:
    """Leave Ctrl-C to the parent, never outlive it, and make the detector."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(ImportError):
        import cv2

        # The processes share the cores; threads in each of them would only get in their way.
        cv2.setNumThreads(1)
    _workers.append(_Worker(folder, out, make(), limits))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(tasks: Sequence[Task]) -> list[Finished]:
    return [_align(task, _workers[0]) for task in tasks]


def _align(task: Task, worker: _Worker) -> Finished:
    path = worker.folder / task.photo
    try:
        status = path.stat()
        state = (status.st_size, status.st_mtime_ns)
        data = read_file(path)
    except OSError as error:
        return Finished((0, 0), Outcome(task.photo, UNREADABLE, [f"{path}: {error.strerror}."]))
    except DataError as error:
        return Finished(state, Outcome(task.photo, UNREADABLE, [str(error)]))
    outcome, face = align_photo(data, task.photo, worker.detector, worker.limits)
    if face is not None:
        write_bytes(worker.out / task.crop, encode_png(face))
        outcome.crop = task.crop
    return Finished(state, outcome)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Pass over Ctrl-C, as do processes that are started meanwhile. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
