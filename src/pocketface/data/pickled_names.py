"""What the names in a verification pickle mean: arrays and scalars of whole numbers.

Each name is answered by a function of this module, which checks its arguments; NumPy's own
functions for rebuilding objects are never called. Dtypes that hold objects cannot be expressed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class RefusedError(Exception):
    """Why the pickle is not read further."""


@dataclass
class Dtype:
    """A dtype being built: whole numbers only, so never one that holds objects."""

    code: str
    order: str = "|"

    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of the code and the byte order."""
        return np.dtype(self.order.replace("|", "") + self.code)


@dataclass
class UnbuiltArray:
    """An array between its creation and its state; `memo` are the places that point to it."""

    memo: list[int] = field(default_factory=list)


def text_of(value: object) -> str:
    """A str, or a Python-2 str read as bytes, as str."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    raise RefusedError(f"text was expected, not {type(value).__name__}")


def build_array(data: object, dtype: object, shape: object, fortran: bool) -> np.ndarray[Any, Any]:
    """A read-only array over `data`, which must be just as long as dtype and shape say."""
    if not (isinstance(data, bytes) and isinstance(dtype, Dtype) and isinstance(shape, tuple)):
        raise RefusedError("an array without bytes, dtype and shape")
    if len(shape) > 32 or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise RefusedError("an array with a senseless shape")
    kind = dtype.numpy()
    if len(data) != math.prod(shape) * kind.itemsize:
        raise RefusedError(f"an array of shape {shape} with {len(data)} bytes")
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if fortran else "C")


def _make_dtype(code: object, *_flags: object) -> Dtype:
    text = text_of(code)
    if text not in {"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"}:
        raise RefusedError(f"an array of dtype {text!r} (allowed: bool and whole numbers)")
    return Dtype(text)


def _make_scalar(dtype: object, data: object) -> int | bool:
    value: int | bool = build_array(data, dtype, (), False).item()
    return value


def _make_unbuilt(*_arguments: object) -> UnbuiltArray:
    return UnbuiltArray()


def _make_from_buffer(data: object, dtype: object, shape: object, order: object) -> object:
    return build_array(data, dtype, shape, order == "F")


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError("_codecs.encode with anything but text and latin1")
    return text.encode("latin-1")


def _not_callable(*_arguments: object) -> object:
    raise RefusedError("a call of numpy.ndarray")


# What the pickle's names mean here. NumPy renamed `core` to `_core`; a Python-3 writer of
# protocol 0 to 2 spells bytes as _codecs.encode(text, "latin1").
MEANING: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _not_callable,
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    MEANING[f"{_core}.multiarray", "_reconstruct"] = _make_unbuilt
    MEANING[f"{_core}.multiarray", "scalar"] = _make_scalar
    MEANING[f"{_core}.numeric", "_frombuffer"] = _make_from_buffer
