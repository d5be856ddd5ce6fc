"""Writing files so that a reader never meets half of one.

The content goes to a temporary name in the same folder, is synced to the disk, and is renamed
over the target; then the folder is synced, so that the rename itself survives a power cut.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` if the block ends well.

    The block must create the temporary path as a file. If it raises, the temporary file is
    removed and an older `target` stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` so that `target` is either the old file or the whole new one."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 `content` to `target`, whole or not at all."""
    write_bytes(target, content.encode())


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
