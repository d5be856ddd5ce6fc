"""A disk that takes no more: told in words, and nothing lost but what could not be written."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from pocketface.train.checkpoint import cannot_be_written

_TAKES_NO_MORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Full, over the user's share, beyond the largest file that is allowed, or read-only."""


@contextlib.contextmanager
def full_disk_told(run: Path) -> Iterator[None]:
    """Within the block, a disk that takes no more is a TrainingError that says how to go on.

    Raises:
        TrainingError: in place of such an OSError; others pass as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _TAKES_NO_MORE:
            raise
        raise cannot_be_written(error.filename or run, str(error.strerror), run) from error
