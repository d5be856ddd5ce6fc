"""MXNet's RecordIO framing: the index and the records of a `.rec` file.

A record is uint32 magic, uint32 lrec (cflag = lrec >> 29, length = lrec & (2^29 - 1)), payload,
padding to 4 bytes. A payload that holds the magic at an aligned place is cut there into parts:
cflag 0 whole, 1 first, 2 middle, 3 last. Joining the parts puts the 4 magic bytes back. A `.idx`
file is text, one "key<TAB>offset" per line.
"""

import os
import struct
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.data.fault import Fault
from pocketface.errors import DataError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
FRAME = struct.Struct("<II")
LENGTH_MASK = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = 0, 1, 2, 3


class RecordFile:
    """A `.rec` file for reading at any offset.

    The file is opened at the first read and read by position, so an object may be sent to
    another process, forked, or used by several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{path}: cannot open the record file: {error.strerror}. Give the path of a .rec."
            ) from error
        self._descriptor: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "size": self.size, "_descriptor": None}

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; DataError if the file cannot give them."""
        try:
            descriptor = self._open() if self._descriptor is None else self._descriptor
            data = os.pread(descriptor, length, offset)
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot read at byte {offset:,}: {error.strerror}. "
                "Check the disk, or copy the file again."
            ) from error
        if len(data) != length:
            raise DataError(
                f"{self.path}: the file is cut short: byte {offset + length:,} was wanted, "
                f"it ends at {offset + len(data):,}. Copy it again."
            )
        return data

    def _open(self) -> int:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        return descriptor

    def frame(self, offset: int) -> tuple[int, int]:
        """(cflag, length) of the part that begins at `offset`; DataError if none does."""
        magic, lrec = FRAME.unpack(self.read(offset, FRAME.size))
        if magic != MAGIC:
            raise DataError(
                f"{self.path}: no record begins at byte {offset:,} (found 0x{magic:08x}, a record "
                f"begins with 0x{MAGIC:08x}). Copy the .rec and its .idx again, as a pair."
            )
        return lrec >> 29, lrec & LENGTH_MASK

    def payload(self, offset: int) -> bytes:
        """The whole payload of the record at `offset`, its parts joined."""
        cflag, length = self.frame(offset)
        data = self.read(offset + FRAME.size, length)
        if cflag == WHOLE:
            return data
        if cflag != FIRST:
            raise self._bad_part(offset, cflag)
        parts = [data]
        while cflag != LAST:
            offset = next_offset(offset, length)
            cflag, length = self.frame(offset)
            if cflag not in (MIDDLE, LAST):
                raise self._bad_part(offset, cflag)
            parts.append(self.read(offset + FRAME.size, length))
        return MAGIC_BYTES.join(parts)

    def _bad_part(self, offset: int, cflag: int) -> DataError:
        return DataError(
            f"{self.path}: the part at byte {offset:,} is out of order (cflag {cflag}). "
            "Copy the .rec and its .idx again, as a pair."
        )


def next_offset(offset: int, length: int) -> int:
    """Where the part after one at `offset` with `length` payload bytes begins."""
    return offset + FRAME.size + (length + 3) // 4 * 4


def read_index(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Read a `.idx` file: (keys, offsets), both int64 (N,), in ascending order of the keys.

    Raises DataError if a line is not "key<TAB>offset", or a key stands there twice.
    """
    mend = "Move it away and it is rebuilt from the .rec."
    try:
        if not path.read_bytes().strip():
            raise DataError(f"{path}: the index is empty. {mend}")
        table = np.loadtxt(path, dtype=np.int64, comments=None, ndmin=2)
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: cannot read the index: {error}. A line is key<TAB>offset. {mend}"
        ) from error
    if table.shape[1] != 2:
        raise DataError(f"{path}: the index has {table.shape[1]} columns, it must have two. {mend}")
    table = table[np.argsort(table[:, 0], kind="stable")]
    twice = np.flatnonzero(table[1:, 0] == table[:-1, 0])
    if len(twice):
        raise DataError(f"{path}: the key {table[twice[0], 0]} stands there twice. {mend}")
    return table[:, 0].copy(), table[:, 1].copy()


def rebuild_index(
    file: RecordFile, faults: list[Fault]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the records by walking through the file: (keys, offsets) with keys 0, 1, 2, ...

    The walk ends at the first place that is no record; what lies behind it is one named fault.
    """
    offsets = []
    offset = 0
    while offset < file.size:
        try:
            cflag, length = file.frame(offset)
            end = offset + FRAME.size + length
            if end > file.size:
                raise DataError(f"{file.path}: the record at byte {offset:,} is cut short.")
        except DataError:
            faults.append(
                Fault(f"bytes {offset:,} to {file.size:,}", "no whole record; the rest is left out")
            )
            break
        if cflag in (WHOLE, FIRST):
            offsets.append(offset)
        offset = next_offset(offset, length)
    return np.arange(len(offsets), dtype=np.int64), np.array(offsets, dtype=np.int64)
