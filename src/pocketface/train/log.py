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
        self.note = ""  # said behind rate and time left
        self.bar: Progress | None = None
        if self.console.is_terminal and not quiet:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[said]}"),
                console=self.console,
            )
            self.task = self.bar.add_task(title, total=total, completed=done, said="")
            self.bar.start()

    @property
    def rate(self) -> float:
        """Units per second in this sitting."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)

    @property
    def left(self) -> str:
        """How long the rest takes at the rate of this sitting, in words."""
        if self.done <= self.first:
            return "time left not known yet"
        return f"{duration((self.total - self.done) / self.rate)} left"

    def advance(self, count: int) -> None:
        """Say that `count` more are done."""
        self.done += count
        if self.quiet:
            return
        said = ", ".join(filter(None, [f"{self.rate:.0f} {self.unit}/s", self.left, self.note]))
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, said=said)
        elif time.monotonic() - self.said >= 30:
            self.said = time.monotonic()
            self.say(f"{self.title}: {self.done:,} of {self.total:,} {self.unit}, {said}")

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


def duration(seconds: float) -> str:
    """A time in words, as fine as it is of use: seconds, minutes, hours or days."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{seconds / 60:.1f} minutes" if minutes < 10 else f"{minutes} minutes"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} {'day' if days == 1 else 'days'} {hours} h"
