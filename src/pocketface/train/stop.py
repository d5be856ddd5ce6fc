"""Stopping at a whole step when Ctrl-C or SIGTERM comes."""

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

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


def stopped(run: Path) -> StoppedError:
    """What to raise when a stop was asked for and everything is saved."""
    return StoppedError(f"stopped; {run} is saved. Go on with the same command and --resume.")
