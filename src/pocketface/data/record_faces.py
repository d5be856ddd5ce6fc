"""The training sets of the field (MS1MV2, WebFace): `train.rec` with `train.idx`.

A payload is `<IfQQ` (flag, label, id, id2), then `flag` float32 labels if flag > 0 (the first is
the identity), then the encoded image. If record 0 has labels (A, B), image keys are 1..A-1 and
A..B-1 are identity records, each with the labels (a, b): the keys [a, b) of one person. If record
0 has flag 0, every key is an image.
"""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.data.fault import Fault
from pocketface.data.fingerprint import fingerprint_of
from pocketface.data.recordio import (
    FIRST,
    FRAME,
    LENGTH_MASK,
    MAGIC,
    WHOLE,
    RecordFile,
    read_index,
    rebuild_index,
)
from pocketface.errors import DataError

HEADER = struct.Struct("<IfQQ")
# Beyond it a float32 is not exact, and A in record 0 may be off by a few keys.
_FLOAT32_EXACT = 1 << 24
_BLOCK = 1 << 16


class RecordFaces:
    """The faces of a `.rec` file. Without its `.idx` the index is rebuilt by one walk.

    Every record's header is read and checked when the set is opened (one pass, vectorised); the
    images stay on disk. A record that cannot be used is a named fault. Raises DataError if the
    file is cut short of what its index promises, or holds no usable image.

    `labels` is int64 (N,), 0..people-1 in ascending order of the file's own identities; `people`
    holds those identities as text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._title = path.name
        self.faults: list[Fault] = []
        self._file = RecordFile(path)
        index = path.with_suffix(".idx")
        if index.is_file():
            keys, offsets = read_index(index)
            _check_within(self._file, index, keys, offsets)
        else:
            keys, offsets = rebuild_index(self._file, self.faults)
        if not len(keys):
            raise DataError(
                f"{path}: no record is there ({self._file.size:,} bytes). Copy it again."
            )
        table = _read_headers(self._file, keys, offsets)
        chosen = _image_rows(path, keys, table, self.faults)
        usable = _usable_rows(keys, table, chosen, self.faults)
        if not len(usable):
            first = f" The first fault: {self.faults[0].name}, {self.faults[0].reason}."
            raise DataError(
                f"{path}: none of its {len(keys):,} records is a usable image.{first} "
                "Copy the .rec and its .idx again, as a pair."
            )
        identities, labels = np.unique(table["label"][usable].astype(np.int64), return_inverse=True)
        self.labels: npt.NDArray[np.int64] = labels.astype(np.int64).reshape(-1)
        self.people: list[str] = [str(identity) for identity in identities.tolist()]
        self._keys = keys[usable]
        self._offsets = offsets[usable]
        self._starts = np.ascontiguousarray(table["start"][usable])
        self._sizes = np.ascontiguousarray(table["size"][usable])
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """`<file> record <key>` of image `i`."""
        return f"{self._title} record {self._keys.item(i)}"

    def encoded(self, i: int) -> bytes:
        """The encoded bytes of image `i`. Raises DataError if the file cannot give them."""
        start, size = self._starts.item(i), self._sizes.item(i)
        if start >= 0:
            return self._file.read(start, size)
        payload = self._file.payload(self._offsets.item(i))
        return payload[len(payload) - size :]

    def fingerprint(self) -> str:
        """Content identity (sha256, hexadecimal); see `fingerprint_of`. Computed once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self)
        return self._fingerprint


# One row per record. `start` is the image's first byte in the file (-1 if the record is split),
# `size` its bytes; `label` and `second` the first two labels; `reason` indexes _REASONS.
_ROW = np.dtype(
    [
        ("flag", "i8"),
        ("start", "i8"),
        ("size", "i8"),
        ("label", "f8"),
        ("second", "f8"),
        ("reason", "i8"),
    ]
)
_REASONS = (
    "",
    "no record begins at its offset",
    "its offset is that of a record's later part",
    "its payload is too short for its header and labels",
    "its parts cannot be joined",
)


def _check_within(
    file: RecordFile, index: Path, keys: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]
) -> None:
    outside = np.flatnonzero((offsets < 0) | (offsets + FRAME.size > file.size))
    if len(outside):
        worst = outside[np.argmax(np.abs(offsets[outside]))]
        raise DataError(
            f"{file.path}: {index.name} puts {len(outside):,} of {len(keys):,} records outside the "
            f"file (key {keys[worst]} at byte {offsets[worst]:,}; the file ends at {file.size:,}). "
            f"Copy both again, as a pair; or move {index.name} away to use the "
            "records that are there."
        )


def _read_headers(
    file: RecordFile, keys: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.void]:
    rows = np.zeros(len(keys), dtype=_ROW)
    data = np.memmap(file.path, dtype=np.uint8, mode="r")
    for first in range(0, len(keys), _BLOCK):
        block = slice(first, first + _BLOCK)
        rows[block] = _read_block(file, data, offsets[block])
    return rows


def _read_block(
    file: RecordFile, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.void]:
    rows = np.zeros(len(offsets), dtype=_ROW)
    frames = _words(data, offsets, 2)
    cflags = frames[:, 1] >> 29
    lengths = (frames[:, 1] & LENGTH_MASK).astype(np.int64)
    rows["reason"] = np.where(frames[:, 0] != MAGIC, 1, np.where(cflags > FIRST, 2, 0))
    good = rows["reason"] == 0
    cut = np.flatnonzero(good & (offsets + FRAME.size + lengths > file.size))
    if len(cut):
        raise DataError(
            f"{file.path}: the file is cut short: the record at byte {offsets[cut[0]]:,} ends "
            f"behind its end ({file.size:,} bytes). Copy it again; or move the .idx away to use "
            "the records that are whole."
        )
    whole = good & (cflags == WHOLE)
    rows["reason"][whole & (lengths < HEADER.size)] = 3
    plain = np.flatnonzero(whole & (lengths >= HEADER.size))
    header = _words(data, offsets[plain] + FRAME.size, 2)
    flags = header[:, 0].astype(np.int64)
    skip = HEADER.size + 4 * flags
    rows["reason"][plain[skip > lengths[plain]]] = 3
    rows["flag"][plain] = flags
    rows["start"][plain] = offsets[plain] + FRAME.size + skip
    rows["size"][plain] = lengths[plain] - skip
    rows["label"][plain] = header[:, 1].copy().view(np.float32)
    for field, position in (("label", 0), ("second", 1)):
        has = plain[(flags > position) & (skip <= lengths[plain])]
        at = offsets[has] + FRAME.size + HEADER.size + 4 * position
        rows[field][has] = _words(data, at, 1)[:, 0].copy().view(np.float32)
    for i in np.flatnonzero(good & (cflags == FIRST)).tolist():
        rows[i] = _read_split(file, int(offsets[i]))
    return rows


def _words(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.uint32]:
    """`count` little-endian uint32 from each of `starts` (n,): uint32 (n, count)."""
    gathered = data[starts[:, None] + np.arange(4 * count)]
    return np.ascontiguousarray(gathered).view("<u4")


def _read_split(file: RecordFile, offset: int) -> tuple[int, int, int, float, float, int]:
    try:
        payload = file.payload(offset)
    except DataError:
        return 0, -1, 0, 0.0, 0.0, 4
    if len(payload) < HEADER.size:
        return 0, -1, 0, 0.0, 0.0, 3
    flag, label, _, _ = HEADER.unpack_from(payload)
    size = len(payload) - HEADER.size - 4 * flag
    if size < 0:
        return flag, -1, 0, 0.0, 0.0, 3
    labels = struct.unpack_from(f"<{min(flag, 2)}f", payload, HEADER.size)
    first = labels[0] if flag > 0 else label
    return flag, -1, size, first, labels[1] if flag > 1 else 0.0, 0


def _image_rows(
    path: Path, keys: npt.NDArray[np.int64], table: npt.NDArray[np.void], faults: list[Fault]
) -> npt.NDArray[np.int64]:
    """The rows that must be images, by what record 0 says."""
    everything = np.arange(len(keys))
    if keys[0] != 0 or (table["reason"][0] == 0 and table["flag"][0] == 0):
        return everything
    end, last = float(table["label"][0]), float(table["second"][0])
    sane = end >= 1 and end.is_integer() and last >= end and last.is_integer()
    if table["reason"][0] or table["flag"][0] < 2 or not sane:
        said = _REASONS[table["reason"][0]] or f"it says A={end:g}, B={last:g}"
        raise DataError(
            f"{path}: record 0 must say where the images end (1 <= A <= B): {said}. "
            "Copy the .rec and its .idx again, as a pair."
        )
    if end >= _FLOAT32_EXACT:
        return everything[(keys >= 1) & (table["size"] > 0)]
    rows = everything[(keys >= 1) & (keys < end)]
    _note_absent(keys[(keys >= 1) & (keys < last)], int(last), faults)
    _check_identities(keys, table, int(end), int(last), faults)
    return rows


def _note_absent(present: npt.NDArray[np.int64], end: int, faults: list[Fault]) -> None:
    """One fault for every gap in the keys 1..end-1."""
    around = np.concatenate([[0], present, [end]])
    for gap in np.flatnonzero(np.diff(around) > 1).tolist():
        first, last = int(around[gap]) + 1, int(around[gap + 1]) - 1
        name = f"record {first}" if first == last else f"records {first} to {last}"
        faults.append(Fault(name, "not in the index"))


def _check_identities(
    keys: npt.NDArray[np.int64],
    table: npt.NDArray[np.void],
    end: int,
    last: int,
    faults: list[Fault],
) -> None:
    """An identity record whose keys carry several labels is a fault; the labels are believed."""
    for row in np.flatnonzero((keys >= end) & (keys < last)).tolist():
        name = f"identity record {keys[row]}"
        first, stop = float(table["label"][row]), float(table["second"][row])
        if table["reason"][row] or table["flag"][row] < 2:
            faults.append(Fault(name, _REASONS[table["reason"][row]] or "it has no two labels"))
        elif not 1 <= first <= stop <= end:
            faults.append(Fault(name, f"its keys [{first:g}, {stop:g}) are no image keys"))
        else:
            low, high = np.searchsorted(keys, [int(first), int(stop)])
            images = table[low:high]
            if len(np.unique(images["label"][images["reason"] == 0])) > 1:
                reason = f"its images [{first:g}, {stop:g}) carry several labels"
                faults.append(Fault(name, reason))


def _usable_rows(
    keys: npt.NDArray[np.int64],
    table: npt.NDArray[np.void],
    rows: npt.NDArray[np.int64],
    faults: list[Fault],
) -> npt.NDArray[np.int64]:
    chosen = table[rows]
    label = chosen["label"]
    # Beyond 2^53 whole numbers are not exact in float64 either; NaN fails every comparison.
    whole = (label >= 0) & (label < 2**53) & (label == np.floor(label))
    good = (chosen["reason"] == 0) & whole & (chosen["size"] > 0)
    for i in np.flatnonzero(~good).tolist():
        if chosen["reason"][i]:
            reason = _REASONS[chosen["reason"][i]]
        elif chosen["size"][i] <= 0:
            reason = "it holds no image"
        else:
            reason = f"its label {label[i]:g} is not a whole number from 0"
        faults.append(Fault(f"record {keys[rows[i]]}", reason))
    usable: npt.NDArray[np.int64] = rows[good]
    return usable
