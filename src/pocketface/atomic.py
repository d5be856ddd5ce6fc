"""Writing files so that a reader never meets half of one.

The content goes to a temporary name in the same folder, is synced to the disk, and is renamed
over the target; then the folder is synced, so that the rename itself survives a power cut.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp-"
"""Between a file's name and the number of the process, in the name that it is written under."""


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` if the block ends well.

    The block must create the temporary path as a file. If it raises, the temporary file is
    removed and an older `target` stays as it was. An OSError names `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}{TEMPORARY}{os.getpid()}")
    try:
        with named(target, temporary):
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextlib.contextmanager
def named(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let an OSError from the block speak of `target` where it names no file, or `temporary`.

    An open file that cannot be written, as on a full disk, does not know its name.
    """
    try:
        yield
    except OSError as error:
        # One that has only a message would lose it to the name.
        if error.errno is not None and error.filename in (None, os.fspath(temporary or target)):
            error.filename = str(target)
        raise


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` so that `target` is either the old file or the whole new one."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 `content` to `target`, whole or not at all."""
    write_bytes(target, content.encode())


def write_all(file: io.FileIO, content: bytes) -> None:
    """Append `content` to an unbuffered file: of one write the system may take a part only."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed were writing anywhere below `folder`.

    Nobody may be writing there.
    """
    for path in folder.rglob(f"*{TEMPORARY}*"):
        if path.name.rpartition(TEMPORARY)[2].isdecimal():
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
