"""Stopping at a whole step when Ctrl-C or SIGTERM comes."""

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from lightning_fabric import Fabric

from pocketface.errors import StoppedError


class StopRequest:
    """Within its block, the first SIGINT or SIGTERM is remembered; a second one interrupts."""

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
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def agree(fabric: Fabric, *, row_due: bool, late: bool, asked: bool) -> tuple[bool, bool]:
    """Whether to save and whether to stop, the same answer in all processes.

    All must leave the loop at one step, or those that go on wait for the others for ever. To ask
    one another costs a pause, so several processes do it only at steps that end a row of the log.
    """
    if fabric.world_size == 1:
        return late, asked
    if not row_due:
        return False, False
    wishes = torch.tensor([late, asked], dtype=torch.float32, device=fabric.device)
    anyone: Any = fabric.all_reduce(wishes, reduce_op="max")
    return bool(anyone[0]), bool(anyone[1])


def stopped(run: Path) -> StoppedError:
    """What to raise when a stop was asked for and everything is saved."""
    return StoppedError(f"stopped; {run} is saved. Go on with the same command and --resume.")
