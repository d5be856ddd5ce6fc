"""Millions of lines of whole numbers, read in blocks and checked to the last character.

The usual lines (numbers with one space between them, no sign) are checked and converted as whole
blocks; a block that holds anything else is read line by line, which tells where it is wrong.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError

_BLOCK = 1 << 24
"""Bytes per block: bounds the memory."""

_SPACE, _NEWLINE, _ZERO, _NINE = 32, 10, 48, 57
_DIGITS = 18
"""So many digits always fit into 64 bits."""


def read_number_rows(path: Path, columns: int, what: str) -> Iterator[npt.NDArray[np.int64]]:
    """The lines of `path` as blocks int64 (n, columns).

    `what` names the columns for the message of the DataError that is raised, with the line's
    number, for a line that is not `columns` whole numbers.
    """
    first = 1
    try:
        with path.open("rb") as handle:
            rest = b""
            while block := handle.read(_BLOCK):
                block = rest + block
                cut = block.rfind(b"\n") + 1
                block, rest = block[:cut], block[cut:]
                if block:
                    rows = _rows(path, block, columns, what, first)
                    first += len(rows)
                    yield rows
            if rest:
                yield _rows(path, rest + b"\n", columns, what, first)
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror}.") from error


def is_number(field: str) -> bool:
    """Whether `field` is a whole number in plain digits, perhaps negative, that fits 64 bits."""
    digits = field.removeprefix("-")
    return field.isascii() and digits.isdigit() and len(digits) <= _DIGITS


def _rows(path: Path, block: bytes, columns: int, what: str, first: int) -> npt.NDArray[np.int64]:
    """The whole lines of `block`, of which the first is number `first` of the file."""
    codes = np.frombuffer(block, np.uint8)
    if _is_plain(codes, columns):
        return np.fromstring(block.decode("ascii"), np.int64, sep=" ").reshape(-1, columns)
    rows = []
    for number, line in enumerate(block.decode("utf-8", "replace").split("\n")[:-1], first):
        fields = line.split()
        if len(fields) != columns or not all(map(is_number, fields)):
            raise DataError(
                f"{path}: line {number}: '{line.strip()[:80]}' is not {columns} whole numbers "
                f"({what}). Correct the line, or restore the file."
            )
        rows.append([int(field) for field in fields])
    return np.array(rows, np.int64)


def _is_plain(codes: npt.NDArray[np.uint8], columns: int) -> bool:
    """Whether all lines are `columns` numbers of digits with one space between them."""
    gaps = np.flatnonzero(codes <= _SPACE)
    if len(gaps) % columns:
        return False
    wanted = np.full(columns, _SPACE, np.uint8)
    wanted[-1] = _NEWLINE
    if not (codes[gaps].reshape(-1, columns) == wanted).all():
        return False
    # What remains must be digits, and there must be some (but not too many) before each gap.
    if np.count_nonzero((codes >= _ZERO) & (codes <= _NINE)) != len(codes) - len(gaps):
        return False
    lengths = np.diff(gaps, prepend=-1) - 1
    return bool(lengths.min() > 0 and lengths.max() <= _DIGITS)
