"""Checkpoints that a diverged run goes back to: those of the last two ends of epochs.

The newest checkpoint would not do: when it was written depends on the clock, and a run's outcome
must not. A hard link costs no room while the checkpoint itself is kept.
"""

import os
import shutil
from pathlib import Path

from pocketface import atomic

FOLDER = "anchors"
_KEPT = 2


def keep(run: Path, step: int) -> None:
    """Keep the run's checkpoint of `step` as an anchor, and of the older ones the newest."""
    checkpoint = run / "checkpoints" / f"step_{step:09d}.ckpt"
    if not checkpoint.is_file():
        return
    target = run / FOLDER / checkpoint.name
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_name(f"{target.name}{atomic.TEMPORARY}{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(checkpoint, temporary)
    except OSError:
        # Not every file system has hard links.
        with atomic.atomic_path(target) as copy:
            shutil.copyfile(checkpoint, copy)
    else:
        temporary.replace(target)
        # Renaming does nothing where both names are of one file already.
        temporary.unlink(missing_ok=True)
        atomic.sync_folder(target.parent)
    for old in _found(run)[:-_KEPT]:
        old.unlink()


def forget_after(run: Path, step: int) -> None:
    """Remove anchors beyond `step`: they belong to a way that was left."""
    for path in _found(run):
        if _step(path) > step:
            path.unlink()


def newest_before(run: Path, step: int) -> Path | None:
    """The newest anchor from `step` or before; where all are younger, the oldest of them."""
    found = _found(run)
    return next((path for path in reversed(found) if _step(path) <= step), next(iter(found), None))


def _found(run: Path) -> list[Path]:
    return sorted((run / FOLDER).glob("step_*.ckpt"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))
