"""A lock on a folder that two processes must not write to at once."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pocketface.errors import PocketFaceError


@contextlib.contextmanager
def locked(path: Path, refusal: PocketFaceError) -> Iterator[int]:
    """Hold the lock file `path`, made where it is missing; gives it, open.

    The lock lasts as long as any process holds the open file, and ends with the last of them
    however that ends. Raises `refusal` if somebody holds it, OSError if the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield descriptor
    finally:
        os.close(descriptor)
