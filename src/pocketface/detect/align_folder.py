"""A folder of photographs to a folder of aligned faces: in processes, and so that it can go on.

Every crop is written whole or not at all, and then noted in the journal. The next run passes over
photographs that are noted, unchanged, and aligned under the same settings. Which process takes a
photograph never shows in its crop.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pocketface.detect.align_photo import ALIGNED, UNREADABLE, Outcome
from pocketface.detect.detector import Detector
from pocketface.detect.journal import Done, Journal
from pocketface.detect.photo_files import PhotoFiles, list_photos
from pocketface.detect.pool import Finished, Pool, Task
from pocketface.detect.quality import Limits
from pocketface.errors import DataError, StoppedError
from pocketface.locking import locked

JOURNAL = "align.jsonl"
"""The journal's name in the folder of crops: a line of JSON for each photograph."""

VERSION = 1
"""Goes up when the same settings give other crops, so that older ones are made again."""

_LOCK = ".align.lock"
_LEFT_OVER = re.compile(r".*\.(png|json|txt)\.tmp-\d+")


@dataclass(frozen=True)
class Settings:
    """What crops depend on.

    `make` builds the detector and can be pickled; `about` tells it apart from others, such as its
    fingerprint and its numbers.
    """

    make: Callable[[], Detector]
    about: tuple[object, ...]
    limits: Limits

    @property
    def key(self) -> str:
        """A short name of the settings."""
        values = [VERSION, [str(part) for part in self.about], asdict(self.limits)]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Aligned:
    """A finished run: every photograph's outcome, in the order of names.

    `resumed`: how many were done before; `others`: files that are no photographs.
    """

    outcomes: list[Outcome]
    resumed: int
    others: int


def align_folder(
    folder: Path,
    out: Path,
    settings: Settings,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Aligned:
    """Align the faces of the photographs below `folder` into `out`, in `workers` processes.

    `progress` is told how many photographs of this run are done, and how many there are. Raises
    DataError as `list_photos`, where `out` cannot be written, or another run is writing to it;
    StoppedError on Ctrl-C, when what was done is kept; PocketFaceError if a process dies.
    """
    files = list_photos(folder, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        refusal = DataError(
            f"{out}: another run is writing there. Wait for it, or choose another folder."
        )
        with locked(out / _LOCK, refusal):
            _sweep(out)
            journal = Journal(out / JOURNAL)
            try:
                return _run(folder, out, files, settings, journal, workers, progress)
            finally:
                journal.close()
    except OSError as error:
        raise DataError(
            f"{error.filename or out} cannot be written: {error.strerror}. Make room there, or "
            "choose another folder."
        ) from error


def _run(
    folder: Path,
    out: Path,
    files: PhotoFiles,
    settings: Settings,
    journal: Journal,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Aligned:
    tasks = [
        Task(photo, crop)
        for photo, crop in files.crops.items()
        if not _is_done(journal.done.get(photo), folder / photo, out, crop, settings.key)
    ]
    resumed = len(files.crops) - len(tasks)
    planned = set(files.crops.values())
    count = 0

    def keep(batch: list[Finished]) -> None:
        for _, outcome in batch:
            crop = _stale_crop(journal.done.get(outcome.photo), outcome)
            if crop is not None and (crop == files.crops[outcome.photo] or crop not in planned):
                (out / crop).unlink(missing_ok=True)
        journal.add(Done(state, settings.key, outcome) for state, outcome in batch)

    if progress:
        progress(count, len(tasks))
    pool = Pool(folder, out, settings.make, settings.limits, workers)
    try:
        for batch in pool.run(tasks):
            keep(batch)
            count += len(batch)
            if progress:
                progress(count, len(tasks))
    except KeyboardInterrupt:
        for batch in pool.stop():
            keep(batch)
            count += len(batch)
        raise StoppedError(
            f"Stopped; {resumed + count:,} of {len(files.crops):,} photographs are done and kept "
            f"in {out}. Run the same command to go on."
        ) from None
    finally:
        pool.stop()
    return Aligned([journal.done[photo].outcome for photo in files.crops], resumed, files.others)


def _is_done(done: Done | None, path: Path, out: Path, crop: str, key: str) -> bool:
    """Whether a photograph is done, unchanged, under these settings.

    What could not be read is tried again: the fault may have been the disk's.
    """
    if done is None or done.settings != key or done.outcome.result == UNREADABLE:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    if done.state != (status.st_size, status.st_mtime_ns):
        return False
    if done.outcome.result != ALIGNED:
        return True
    return done.outcome.crop == crop and (out / crop).is_file()


def _stale_crop(before: Done | None, now: Outcome) -> str | None:
    """The crop that an earlier run wrote for a photograph that has none of that name now.

    The journal is a file like any other: a path in it that leads out of the folder is not believed.
    """
    crop = None if before is None else before.outcome.crop
    if crop is None or crop == now.crop or ".." in Path(crop).parts or Path(crop).is_absolute():
        return None
    return crop


def _sweep(out: Path) -> None:
    """Remove the temporary files of a run that was killed."""
    for where, _, files in os.walk(out):
        for name in files:
            if _LEFT_OVER.fullmatch(name):
                (Path(where) / name).unlink(missing_ok=True)
