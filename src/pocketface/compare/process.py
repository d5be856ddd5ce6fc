"""The processes of a comparison, how they are asked to stop, and whose folder it is."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from pocketface.errors import RecipeError
from pocketface.locking import locked


class Process(Protocol):
    """The part of `subprocess.Popen` that is used here."""

    def poll(self) -> int | None:
        """The exit code, or None while it works."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


Start = Callable[[Sequence[str], Path], Process]
"""Starts `pocketface WORDS`; its output is added to a file."""


class Stop:
    """Within its block the first Ctrl-C or SIGTERM, or the end of the time, asks for a stop.

    A second Ctrl-C raises KeyboardInterrupt.

    Args:
        seconds: how long this sitting may last; None: no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether to stop."""
        return self._asked or (self._end is not None and time.monotonic() >= self._end)

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


def start_process(words: Sequence[str], log: Path, keep: Sequence[int] = ()) -> Process:
    """Start `pocketface WORDS` as a process; `keep` are files that it holds open.

    It has a session of its own: a terminal's Ctrl-C reaches it through us, once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "pocketface", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            pass_fds=tuple(keep),
            env={**os.environ, "COLUMNS": "1000"},  # an error message stays in one line
        )


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[int]:
    """Hold `folder` against a second comparison; gives the file to be kept open by processes.

    The lock lasts as long as any process holds the file: runs that outlive a comparison which
    was killed still work in its folder. Raises RecipeError if somebody holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = RecipeError(
        f"{folder} is in use: by another comparison, or by runs that one left behind when "
        "it was killed. Wait for them, or end them, and start again."
    )
    with locked(folder / ".lock", refusal) as descriptor:
        yield descriptor
