"""Stopping at a whole step when Ctrl-C or SIGTERM comes."""

import contextlib
import signal
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from lightning_fabric import Fabric

from pocketface.errors import StoppedError

ASK_SECONDS = 5.0
"""Several processes ask one another at least about so often whether to stop."""


class StopRequest:
    """Within its block, SIGINT and SIGTERM are remembered; a second SIGINT interrupts.

    A second SIGTERM does not: a scheduler may send one to every process, and torchrun hands on its
    own. Whoever cannot wait sends SIGKILL.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


class Agreement:
    """Whether to save and whether to stop, the same answer in all processes.

    All must leave the loop at one step, or those that go on wait for the others in vain. To ask one
    another costs a pause, so several processes do it only at steps that end a row of the log, and
    where steps are long once in `ASK_SECONDS`: between SIGTERM and SIGKILL Kubernetes leaves half a
    minute. It is enough that one process is asked to stop.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._steps = 0
        self._wait = 1
        self._began = time.monotonic()

    def __call__(self, *, row_due: bool, late: bool, asked: bool) -> tuple[bool, bool]:
        """To be called by all processes after each step; gives (save, stop).

        Args:
            row_due: whether the step ends a row of the log, the same in all processes.
            late: whether this process finds that a checkpoint is due.
            asked: whether this process was asked to stop.
        """
        if self._fabric.world_size == 1:
            return late, asked
        self._steps += 1
        if not row_due and self._steps < self._wait:
            return False, False
        pace = (time.monotonic() - self._began) / self._steps
        wishes = torch.tensor([late, asked, pace], dtype=torch.float32, device=self._fabric.device)
        anyone: Any = self._fabric.all_reduce(wishes, reduce_op="max")
        late, asked, slowest = anyone.tolist()
        # By the pace of the slowest, so that all ask again at the same step.
        self._wait = max(1, int(ASK_SECONDS / max(slowest, 1e-3)))
        self._steps, self._began = 0, time.monotonic()
        return bool(late), bool(asked)


def stopped(run: Path) -> StoppedError:
    """What to raise when a stop was asked for and everything is saved."""
    return StoppedError(f"stopped; {run} is saved. Go on with the same command and --resume.")


@contextlib.contextmanager
def deaf_to_stops() -> Iterator[None]:
    """Let processes that are started in this block never hear Ctrl-C or SIGTERM.

    A terminal sends Ctrl-C to every process of the command, torchrun and schedulers SIGTERM. The
    run wants to finish its step and save itself, for which it needs its workers; it ends them
    itself. What comes to this process within the block is heard at its end.
    """
    # Its own start would undo the blocking.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
