"""What has been done, a line for each photograph, so that a stopped run goes on.

A line is written after its crop stands whole on the disk. A run that is killed loses at most the
lines that it had not written, and does those photographs again; a line that was cut short is passed
over.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from pocketface.detect.align_photo import Outcome


class Done(NamedTuple):
    """A photograph that is done: its state (bytes, time in ns), the settings, the outcome."""

    state: tuple[int, int]
    settings: str
    outcome: Outcome


class Journal:
    """The file `path`, to which lines are added. `done` holds its photographs, the last line each.

    Raises OSError where it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.done = _read(path)
        torn = _ends_torn(path)
        self._file: TextIO = path.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def add(self, entries: Iterable[Done]) -> None:
        """Write these down and hand them to the operating system."""
        for entry in entries:
            self.done[entry.outcome.photo] = entry
            line = {
                "bytes": entry.state[0],
                "changed_ns": entry.state[1],
                "settings": entry.settings,
                "outcome": entry.outcome.to_json(),
            }
            self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Bring all lines to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def _read(path: Path) -> dict[str, Done]:
    done: dict[str, Done] = {}
    if not path.exists():
        return done
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                values = json.loads(line)
                outcome = Outcome.from_json(values["outcome"])
                state = (int(values["bytes"]), int(values["changed_ns"]))
                done[outcome.photo] = Done(state, str(values["settings"]), outcome)
            except (ValueError, TypeError, KeyError):  # cut short, or of another version
                continue
    return done


def _ends_torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) != b"\n"
