"""Batches made ready ahead of the student's step: on its device, augmented, targets beside them.

On a GPU the work ahead has a stream of its own: while the student's step k runs, batch k + 1 is
copied and augmented, and the teacher looks at it. On a CPU the same code does one thing after the
other, which is the plain order of a training loop. Nothing that is drawn or computed depends on
how far ahead the work is, and nothing reaches beyond the epoch.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from pocketface.distill import FaceBatch, Outputs
from pocketface.train.loader import FaceLoader, LoadedBatch
from pocketface.train.step import ReadyBatch, TrainingStep


class Feed:
    """Gives the batches of any epoch, from any step on, ready for `TrainingStep.learn`.

    Args:
        loader: the batches.
        step: what prepares them, and its teacher.
        together: how many of the student's batches the teacher looks at as one. More than one
            keeps a large GPU busy; the teacher's numbers then have other roundings.
    """

    def __init__(self, loader: FaceLoader, step: TrainingStep, together: int = 1) -> None:
        if together < 1:
            raise ValueError(f"together must be at least 1. Got {together} instead.")
        self.loader = loader
        self.step = step
        self.together = together
        device = step.fabric.device
        self._lane: Lane = OwnStream(device) if device.type == "cuda" else PlainOrder()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[ReadyBatch, float]]:
        """The batches of `epoch` (0-based) from step `start` on; a teacher was told of the epoch.

        Beside each batch stands how many seconds the student is known to have waited since the
        one before: on a CPU for the loader; on a GPU the time that its stream stood still, which
        is known some steps later.

        Raises:
            DataError: as `FaceLoader.epoch`, and what the teacher raises.
        """
        # What the teacher looks at as one is the same whether the run was resumed or not.
        number = start - start % self.together
        batches = self.loader.epoch(epoch, number)
        lane = self._lane
        lane.begin()
        ahead = self._make_ready(batches)
        while ahead.batches:
            group, ahead = ahead, _NOTHING
            for place, ready in enumerate(group.batches):
                if number >= start:
                    yield ready, lane.hand_over(ready, group.finished)
                    lane.left()
                number += 1
                if place == 0:
                    # The student's step is under way: now what comes after this group.
                    ahead = self._make_ready(batches)

    def _make_ready(self, batches: Iterator[LoadedBatch]) -> "_Group":
        """The next group, as far as the epoch has batches."""
        with self._lane.loading():
            loaded = list(islice(batches, self.together))
        if not loaded:
            return _NOTHING
        with self._lane.ahead() as finished:
            prepared = [self.step.prepare(each) for each in loaded]
            targets = self._ask(prepared)
        ready = [ReadyBatch(*parts) for parts in zip(loaded, prepared, targets, strict=True)]
        return _Group(ready, finished)

    def _ask(self, batches: list[FaceBatch]) -> list[Outputs | None]:
        """The teacher's targets for each batch, asked of all together."""
        teacher = self.step.teacher
        if teacher is None:
            return [None] * len(batches)
        if len(batches) == 1:
            return [teacher.targets(batches[0])]
        joint = FaceBatch(
            *(
                torch.cat([getattr(each, name) for each in batches])
                for name in ("images", "labels", "indices", "mirrored")
            )
        )
        sizes = [len(each.labels) for each in batches]
        embeddings, stages = teacher.targets(joint)
        parts = zip(*(torch.split(each, sizes) for each in (embeddings, *stages)), strict=True)
        return [Outputs(first, tuple(rest)) for first, *rest in parts]


@dataclass(frozen=True)
class _Group:
    """Batches that were made ready together, and the event after which they can be used."""

    batches: Sequence[ReadyBatch]
    finished: Any


_NOTHING = _Group((), None)


class Lane(Protocol):
    """Where the work ahead is done, and how the student's step takes it over."""

    def begin(self) -> None:
        """An epoch begins."""

    def loading(self) -> AbstractContextManager[Any]:
        """The block waits for the loader."""

    def ahead(self) -> AbstractContextManager[Any]:
        """The block makes batches ready; gives the event of its end."""

    def hand_over(self, ready: ReadyBatch, finished: Any) -> float:
        """The student's step comes next, on this batch; gives the seconds of waiting known now."""

    def left(self) -> None:
        """The student's step has been started (on a GPU) or done (on a CPU)."""


class PlainOrder:
    """One thing after the other; to wait is to wait for the loader."""

    def __init__(self) -> None:
        self._waited = 0.0

    def begin(self) -> None:
        """See Lane."""

    @contextmanager
    def loading(self) -> Iterator[None]:
        """See Lane."""
        began = time.monotonic()
        yield
        self._waited += time.monotonic() - began

    def ahead(self) -> AbstractContextManager[Any]:
        """See Lane."""
        return nullcontext()

    def hand_over(self, ready: ReadyBatch, finished: Any) -> float:
        """See Lane."""
        waited, self._waited = self._waited, 0.0
        return waited

    def left(self) -> None:
        """See Lane."""


class OwnStream:
    """A CUDA stream beside the student's.

    Three rules make it safe. The stream begins an epoch after all that the student's stream holds,
    such as the copy of a new teacher's weights. The student's stream waits for the event that ends
    a group's work before it touches a batch of it. The allocator is told that the student's
    stream uses the batch too, so that its memory is not given to a later batch too early.

    To wait is that the student's stream stands still between two steps, by the GPU's own clock:
    the process itself may wait for the loader while the GPU still has work.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._free: Any = None
        self._waits: deque[tuple[Any, Any]] = deque()

    def begin(self) -> None:
        """See Lane."""
        self.stream.wait_stream(self._students())
        self.left()

    def loading(self) -> AbstractContextManager[Any]:
        """See Lane."""
        return nullcontext()

    @contextmanager
    def ahead(self) -> Iterator[Any]:
        """See Lane."""
        finished: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self.stream):
            yield finished
        finished.record(self.stream)

    def hand_over(self, ready: ReadyBatch, finished: Any) -> float:
        """See Lane."""
        students = self._students()
        students.wait_event(finished)
        for tensor in _on_the_gpu(ready):
            tensor.record_stream(students)
        self._waits.append((self._free, self._now()))
        waited = 0.0
        while self._waits and self._waits[0][1].query():
            free, taken = self._waits.popleft()
            waited += free.elapsed_time(taken) / 1000
        return waited

    def left(self) -> None:
        """See Lane."""
        self._free = self._now()

    def _students(self) -> Any:
        return torch.cuda.current_stream(self.device)

    def _now(self) -> Any:
        """An event at the end of what the student's stream holds."""
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(self._students())
        return event


def _on_the_gpu(ready: ReadyBatch) -> list[Tensor]:
    tensors = [ready.batch.images, ready.batch.labels]
    if ready.targets is not None:
        tensors += [ready.targets.embeddings, *ready.targets.stages]
    return [tensor for tensor in tensors if tensor.is_cuda]
