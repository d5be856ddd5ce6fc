"""Which parts of a common work this process does, while others do the rest."""

import errno
import fcntl
import os
from pathlib import Path

from pocketface.errors import DataError


class Claims:
    """Claims on numbered parts, seen by all processes that open the same file.

    A claim is a lock on one byte of the file. It ends with the process however that ends, so the
    part of a process that was killed is free for the others. One process must open a file once
    only: the system lets all its locks go when it closes any.

    Raises:
        DataError: if the file system has no such locks.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, part: int, *, wait: bool = False) -> bool:
        """Claim a part; False if another process has it, unless `wait` says to wait for it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, part)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN) and not wait:
                return False
            raise DataError(
                f"{self.path} cannot be locked: {error.strerror}. Put the folder on a file system "
                "that has locks (fcntl), such as a local disk."
            ) from error
        return True

    def release(self, part: int) -> None:
        """Let a claimed part go."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, part)

    def close(self) -> None:
        """Let everything go."""
        os.close(self._file)
