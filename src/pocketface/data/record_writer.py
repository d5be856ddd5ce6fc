"""Writing RecordIO: the counterpart of `recordio`, in the layout of the field's training sets."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pocketface import atomic
from pocketface.data.record_faces import HEADER
from pocketface.data.recordio import (
    FIRST,
    FRAME,
    LAST,
    LENGTH_MASK,
    MAGIC,
    MAGIC_BYTES,
    MIDDLE,
    WHOLE,
)
from pocketface.errors import DataError


def pack(labels: float | Sequence[float], key: int, image: bytes) -> bytes:
    """A record's payload. One number stands in the header (flag 0), a sequence behind it."""
    if isinstance(labels, int | float):
        return HEADER.pack(0, labels, key, 0) + image
    return HEADER.pack(len(labels), 0, key, 0) + np.asarray(labels, "<f4").tobytes() + image


def frame(payload: bytes) -> bytes:
    """A payload as it stands in the file: cut at every aligned magic, framed and padded."""
    parts = []
    begin = 0
    at = payload.find(MAGIC_BYTES)
    while at >= 0:
        if at % 4 == 0:
            parts.append(payload[begin:at])
            begin = at + len(MAGIC_BYTES)
        at = payload.find(MAGIC_BYTES, at + 1)
    parts.append(payload[begin:])
    framed = bytearray()
    for number, part in enumerate(parts):
        if len(parts) == 1:
            cflag = WHOLE
        else:
            cflag = FIRST if number == 0 else LAST if number == len(parts) - 1 else MIDDLE
        if len(part) > LENGTH_MASK:
            raise DataError(
                f"a record of {len(part):,} bytes: at most {LENGTH_MASK:,} fit. "
                "Make the image smaller."
            )
        framed += FRAME.pack(MAGIC, cflag << 29 | len(part)) + part + bytes(-len(part) % 4)
    return bytes(framed)


class RecordWriter:
    """Write `path` (.rec) and its .idx together: `with RecordWriter(path) as writer`.

    Both files appear when the block ends well. If it raises, an older pair stays as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            index = stack.enter_context(atomic.atomic_path(self.path.with_suffix(".idx")))
            self._index = stack.enter_context(index.open("w", encoding="ascii"))
            records = stack.enter_context(atomic.atomic_path(self.path))
            self._records = stack.enter_context(records.open("wb"))
            self._stack = stack.pop_all()
        return self

    def append(self, key: int, payload: bytes) -> None:
        """Write one record under `key`."""
        self._index.write(f"{key}\t{self._records.tell()}\n")
        self._records.write(frame(payload))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._index.flush()
            # A crash between the two renames must not pair the new records with the old index;
            # without an index the reader walks through the records.
            self.path.with_suffix(".idx").unlink(missing_ok=True)
        self._stack.__exit__(kind, error, traceback)


def write_faces(path: Path, counts: Sequence[int], images: Iterable[bytes]) -> None:
    """Write a training set with identity records, as MS1MV2 has them.

    `counts` is the number of images of each person, `images` gives them person by person. Labels
    are 0..people-1. Raises DataError if the two disagree.
    """
    end = 1 + sum(counts)
    iterator = iter(images)
    with RecordWriter(path) as writer:
        writer.append(0, pack([end, end + len(counts)], 0, b""))
        key = 1
        for label, count in enumerate(counts):
            for _ in range(count):
                image = next(iterator, None)
                if image is None:
                    raise DataError(
                        f"{path}: {end - 1} images were promised, {key - 1} were given."
                    )
                writer.append(key, pack(label, key, image))
                key += 1
        if next(iterator, None) is not None:
            raise DataError(f"{path}: more than the promised {end - 1} images were given.")
        first = 1
        for person, count in enumerate(counts):
            writer.append(end + person, pack([first, first + count], end + person, b""))
            first += count
