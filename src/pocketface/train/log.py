"""What a run says while it works: JSON lines, TensorBoard, and the screen."""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from pocketface import atomic
from pocketface.train.event_file import EventFile

METRICS = "metrics.jsonl"


class RunLog:
    """Rows of numbers by name, to `metrics.jsonl` and to TensorBoard, one writer per run.

    On resuming, rows beyond `step` are cut off: they belong to work that was lost.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / METRICS
        _cut(self.path, step)
        self._board = EventFile(run, step + 1)
        # Without a buffer: what could not be written is not tried again when the file is closed.
        self._file = self.path.open("ab", buffering=0)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write one row. Raises OSError, which names the file, if the disk takes no more."""
        row = json.dumps({"step": step, **values}) + "\n"
        with atomic.named(self.path):
            # A disk that fills up may take half a row first; read_metrics leaves that out.
            atomic.write_all(self._file, row.encode())
        self._board.write(step, values)

    def close(self) -> None:
        """Close the files; every row is written already."""
        self._file.close()
        self._board.close()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's `metrics.jsonl`; an unfinished last line is left out."""
    rows = []
    for line in (run / METRICS).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _cut(path: Path, step: int) -> None:
    if not path.exists():
        return
    rows = [row for row in read_metrics(path.parent) if row["step"] <= step]
    atomic.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


class Screen:
    """Progress with rate and time left: a bar on a terminal, else a line every half minute."""

    def __init__(self, title: str, total: int, done: int, unit: str, quiet: bool = False) -> None:
        self.console = Console(stderr=True)
        self.unit = unit
        self.total = total
        self.done = self.first = done
        self.began = self.said = time.monotonic()
        self.title = title
        self.quiet = quiet
        self.bar: Progress | None = None
        if self.console.is_terminal and not quiet:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
            self.task = self.bar.add_task(title, total=total, completed=done, rate="", note="")
            self.bar.start()

    @property
    def rate(self) -> float:
        """Units per second in this sitting."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)

    def advance(self, count: int, note: str = "") -> None:
        """Say that `count` more are done."""
        self.done += count
        rate = f"{self.rate:.0f} {self.unit}/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=rate, note=note)
        elif not self.quiet and time.monotonic() - self.said >= 30:
            self.said = time.monotonic()
            left = "time left not known yet"
            if self.done > self.first:
                left = f"{(self.total - self.done) / self.rate / 60:.1f} minutes left"
            self.say(
                f"{self.title}: {self.done:,} of {self.total:,} {self.unit}, {rate}, {left} {note}"
            )

    def set_back(self, done: int) -> None:
        """Say that only `done` are done: the work beyond was thrown away."""
        self.done = self.first = done
        self.began = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=done)

    def say(self, text: str) -> None:
        """Print a line beside the bar."""
        if not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the screen in order."""
        if self.bar is not None:
            self.bar.stop()
