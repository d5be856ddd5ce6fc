"""The devkit's feature file: a header of four int32, then the raw values of one embedding.

The header is (dimension, 1, row stride in bytes, type); the type is 5 for float32, 6 for float64.
The stride is that of one value. Files of float64 that say 4 all the same are read; 8 is written.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError

_HEADER = struct.Struct("<4i")
_TYPES: dict[int, np.dtype[Any]] = {5: np.dtype("<f4"), 6: np.dtype("<f8")}
_CODES = {4: 5, 8: 6}
_LARGEST = 65_536

Feature = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def encode_feature(values: npt.NDArray[np.floating]) -> bytes:
    """A feature file of one embedding (D,), float32 or float64; other floats become float32."""
    wide = values.dtype.itemsize == 8
    little = np.ascontiguousarray(values, "<f8" if wide else "<f4")
    size = little.dtype.itemsize
    return _HEADER.pack(len(little), 1, size, _CODES[size]) + little.tobytes()


def decode_feature(content: bytes, name: str) -> Feature:
    """The embedding (D,) in a feature file's bytes, float32 or float64 as it was written.

    Raises DataError, naming the file as `name`, for another header, another length than the
    header says, or values that are not finite.
    """
    mend = "Write it again with the program that made the features."
    if len(content) < _HEADER.size:
        raise DataError(
            f"{name}: {len(content)} bytes cannot hold the header of a feature file (16 bytes). "
            f"{mend}"
        )
    dimension, columns, stride, code = _HEADER.unpack_from(content)
    kind = _TYPES.get(code)
    strides = (4,) if code == 5 else (4, 8)
    if kind is None or columns != 1 or stride not in strides or not 1 <= dimension <= _LARGEST:
        raise DataError(
            f"{name}: the header is ({dimension}, {columns}, {stride}, {code}); a feature file "
            "begins with (dimension, 1, 4, 5) for float32 or (dimension, 1, 8, 6) for float64. "
            f"{mend}"
        )
    due = _HEADER.size + dimension * kind.itemsize
    if len(content) != due:
        state = "cut short" if len(content) < due else "too long"
        raise DataError(
            f"{name}: the file is {state}: {len(content):,} bytes, where {dimension} values of "
            f"{kind.itemsize} bytes and the header are {due:,}. {mend}"
        )
    values: Feature = np.frombuffer(content, kind, offset=_HEADER.size)
    if not np.isfinite(values).all():
        raise DataError(
            f"{name}: {np.count_nonzero(~np.isfinite(values))} of {dimension} values are not "
            f"finite (NaN or infinity). {mend}"
        )
    return values


def read_feature(path: Path) -> Feature:
    """Read a feature file. Raises DataError for a file that cannot be read or is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Copy it again.") from error
    return decode_feature(content, str(path))
