"""Computing what caches lack: many teachers' at once, by as many processes as there are.

Processes need not know of one another. Each claims parts that are missing and not claimed yet,
and in the end waits for the parts of the others, or does them if they were left.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.distill.cache import EmbeddingCache
from pocketface.distill.claims import Claims
from pocketface.errors import DataError

Pixels = npt.NDArray[np.uint8]

Views = Callable[[Pixels], Tensor]
"""A teacher's embeddings (2, n, D) of uint8 images (n, S, S, 3) RGB, and of their mirrors."""

Read = Callable[[range], Iterable[Pixels]]
"""The images of a range of the training set, in order, as batches."""

_LOCK = "cache.lock"


@dataclass(frozen=True)
class Task:
    """A cache to be filled, and how to open its teacher; only one is open at a time."""

    cache: EmbeddingCache
    open_teacher: Callable[[], Views]


def fill(
    tasks: Sequence[Task],
    read: Read,
    *,
    at_once: int = 1,
    progress: Callable[[int], None] = lambda images: None,
) -> None:
    """Compute the missing shards of caches that divide the same images alike.

    Images are read once for all teachers: those of `at_once` shards are kept in memory while one
    teacher after the other looks at them.

    Args:
        tasks: the caches; each in a folder of its own.
        read: see Read; the batches are kept, so each must be an array of its own.
        at_once: see above; with one task nothing is kept.
        progress: hears how many images of one teacher are done, here or by another process.

    Raises:
        DataError: if a teacher gives numbers that float16 cannot hold, `read` gives fewer images
            than asked for, or the file system has no locks. What was written stays.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(closing(_Worker(task, progress))) for task in tasks]
        opened: _Worker | None = None
        views: Views | None = None
        for wait in (False, True):
            numbers = sorted(set().union(*(worker.left for worker in workers)))
            # To wait while holding several could be to wait for one another.
            width = 1 if wait else at_once
            for start in range(0, len(numbers), width):
                some = numbers[start : start + width]
                mine = [(worker, worker.claim(some, wait=wait)) for worker in workers]
                images = _Images(read, keep=sum(bool(own) for _, own in mine) > 1)
                for worker, own in mine:
                    if own and worker is not opened:
                        views = None  # before the next: a large teacher may fill the memory
                        views, opened = worker.task.open_teacher(), worker
                    for number in own:
                        assert views is not None
                        worker.compute(number, views, images)


class _Worker:
    """The part of a process in one task: what is left to do of it, as far as it knows."""

    def __init__(self, task: Task, progress: Callable[[int], None]) -> None:
        self.task = task
        self.cache = task.cache
        self.left = set(task.cache.missing)
        self._progress = progress
        self._claims = Claims(task.cache.folder / _LOCK) if self.left else None

    def claim(self, numbers: Sequence[int], *, wait: bool) -> list[int]:
        """Those of `numbers` that are to be computed here."""
        mine = []
        for number in numbers:
            if self._claims is None or number not in self.left:
                continue
            if not self._claims.take(number, wait=wait):
                continue
            self.left.discard(number)
            if self.cache.holds(number):  # another process has done it meanwhile
                self._claims.release(number)
                self._progress(len(self.cache.span(number)))
            else:
                mine.append(number)
        return mine

    def compute(self, number: int, views: Views, images: "_Images") -> None:
        """Compute and write a shard that was claimed, and let it go."""
        assert self._claims is not None
        span = self.cache.span(number)
        self.cache.add(number, self._embed(span, views, images.of(span)))
        self._claims.release(number)

    def _embed(
        self, span: range, views: Views, batches: Iterable[Pixels]
    ) -> npt.NDArray[np.float16]:
        shard: Tensor | None = None
        done = 0
        for batch in batches:
            embeddings = views(batch)
            if shard is None:
                # On the teacher's device, so that nobody waits for a batch to come from there.
                size = (2, len(span), self.cache.embedding_size)
                shard = torch.empty(size, dtype=torch.float16, device=embeddings.device)
            shard[:, done : done + len(batch)] = embeddings
            done += len(batch)
            self._progress(len(batch))
        if shard is None or done != len(span):
            raise DataError(f"expected {len(span)} images from {span.start} on, read {done}.")
        rows: npt.NDArray[np.float16] = shard.cpu().numpy()
        broken = np.flatnonzero(~np.isfinite(rows).all(axis=(0, 2)))
        if len(broken):
            raise DataError(
                f"the teacher's embeddings of {len(broken):,} of {len(span):,} images hold NaN "
                f"or numbers beyond float16's 65,504, first of image {span[broken[0]]:,} of "
                "the training set. Check the teacher's weights and its preprocessing."
            )
        return rows

    def close(self) -> None:
        """Let all claims go."""
        if self._claims is not None:
            self._claims.close()


class _Images:
    """The images of a few spans, read when they are first asked for, and kept if so said."""

    def __init__(self, read: Read, *, keep: bool) -> None:
        self._read = read
        self._keep = keep
        self._kept: dict[range, list[Pixels]] = {}

    def of(self, span: range) -> Iterator[Pixels]:
        if span in self._kept:
            yield from self._kept[span]
            return
        batches: list[Pixels] = []
        for batch in self._read(span):
            if self._keep:
                batches.append(batch)
            yield batch
        if self._keep:
            self._kept[span] = batches
