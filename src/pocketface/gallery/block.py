"""The templates of a gallery as one block of numbers in a file that is mapped into memory.

Row r of the block is the template with the number r + 1 in the database; numbers are never given
twice. The block is made from the database and can be made again at any time: it holds nothing that
the database does not. A header says which gallery it belongs to and how many rows are written; new
rows are written beyond these, brought to the disk, and only then counted, so that a reader, or
whoever comes after a kill, never meets half a row.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.atomic import atomic_path

Precision = Literal["float32", "float16"]

HEADER_BYTES = 4096
"""A page, so that the rows begin on one."""

_MAGIC = b"PocketFace block"
_FORMAT = 1
_LAYOUT = struct.Struct("<16s I 8s I 32s Q")
_COUNT = struct.Struct("<Q")
_COUNT_AT = _LAYOUT.size - _COUNT.size

Rows = Iterable[tuple[int, npt.NDArray[np.float32]]]
"""Row numbers, ascending, each with its vector (D,)."""


class Header(NamedTuple):
    """What a block says of itself: numbers of an embedding, the gallery's `epoch`, rows written."""

    precision: str
    size: int
    epoch: str
    rows: int


class Block:
    """The file `path` of `precision` with rows of `size` numbers, for the gallery's `epoch`.

    An epoch is 32 hexadecimal digits that change when rows get other numbers or another meaning.
    Every method may raise OSError.
    """

    def __init__(self, path: Path, precision: Precision, size: int, epoch: str) -> None:
        self.path = path
        self.precision: Precision = precision
        self.size = size
        self.epoch = epoch
        self._row_bytes = size * np.dtype(precision).itemsize

    def rows(self) -> int:
        """How many rows are written; 0 where there is no block, or not of this gallery."""
        header = read_header(self.path)
        if header is None or header[:3] != (self.precision, self.size, self.epoch):
            return 0
        needed = HEADER_BYTES + header.rows * self._row_bytes
        return header.rows if self.path.stat().st_size >= needed else 0

    def open(self, rows: int) -> npt.NDArray[np.floating]:
        """The first `rows` rows, mapped to be read."""
        if not rows:
            return np.empty((0, self.size), self.precision)
        mapped: npt.NDArray[np.floating] = np.memmap(
            self.path, self.precision, "r", HEADER_BYTES, (rows, self.size)
        )
        return mapped

    def rebuild(self, rows: Rows, count: int) -> None:
        """Write the whole block anew with `count` rows; a row that is not given is zero."""
        with atomic_path(self.path) as temporary, temporary.open("wb") as handle:
            handle.write(self._header(count))
            handle.truncate(HEADER_BYTES + count * self._row_bytes)
            self._write(handle.fileno(), rows)

    def extend(self, rows: Rows, count: int) -> None:
        """Write rows from `rows()` on, so that there are `count`; one that is not given is zero."""
        with self.path.open("r+b") as handle:
            # What a killed run left beyond the counted rows must not show in a gap.
            handle.truncate(HEADER_BYTES + self.rows() * self._row_bytes)
            handle.truncate(HEADER_BYTES + count * self._row_bytes)
            self._write(handle.fileno(), rows)
            os.fsync(handle.fileno())
            os.pwrite(handle.fileno(), _COUNT.pack(count), _COUNT_AT)
            os.fsync(handle.fileno())

    def erase(self, rows: Iterable[int]) -> None:
        """Write zeros over these rows, as far as they are there."""
        if not self.path.exists():
            return
        count = self.rows()
        with self.path.open("r+b") as handle:
            for row in rows:
                if row < count:
                    os.pwrite(
                        handle.fileno(),
                        bytes(self._row_bytes),
                        HEADER_BYTES + row * self._row_bytes,
                    )
            os.fsync(handle.fileno())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process writes to the block, and keep others from it."""
        descriptor = os.open(
            self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o666
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _header(self, rows: int) -> bytes:
        packed = _LAYOUT.pack(
            _MAGIC, _FORMAT, self.precision.encode(), self.size, self.epoch.encode(), rows
        )
        return packed.ljust(HEADER_BYTES, b"\0")

    def _write(self, descriptor: int, rows: Rows) -> None:
        """Write rows where they belong; neighbours go out together."""
        waiting: list[npt.NDArray[np.float32]] = []
        first = 0
        for row, vector in rows:
            if waiting and (row != first + len(waiting) or len(waiting) == 4096):
                self._put(descriptor, first, waiting)
                waiting = []
            if not waiting:
                first = row
            waiting.append(vector)
        if waiting:
            self._put(descriptor, first, waiting)

    def _put(self, descriptor: int, first: int, rows: list[npt.NDArray[np.float32]]) -> None:
        content = memoryview(np.stack(rows).astype(self.precision).tobytes())
        offset = HEADER_BYTES + first * self._row_bytes
        while content:
            written = os.pwrite(descriptor, content, offset)
            content, offset = content[written:], offset + written


def read_header(path: Path) -> Header | None:
    """What the block at `path` says of itself; None where there is none or it is something else."""
    try:
        with path.open("rb") as handle:
            found = handle.read(_LAYOUT.size)
    except FileNotFoundError:
        return None
    if len(found) < _LAYOUT.size:
        return None
    magic, version, precision, size, epoch, rows = _LAYOUT.unpack(found)
    if (magic, version) != (_MAGIC, _FORMAT):
        return None
    return Header(
        precision.rstrip(b"\0").decode("ascii", "replace"),
        size,
        epoch.decode("ascii", "replace"),
        rows,
    )
