"""Give an ONNX file's input a fixed shape, in memory and without the `onnx` package.

OpenCV 4 refuses a network that computes with the shape of an input whose sides are free; once the
sides are numbers it runs at any size all the same. Only the few fields on the way to them are
rewritten (ONNX's onnx.proto: ModelProto.graph = 7, GraphProto.input = 11, ValueInfoProto.type = 2,
TypeProto.tensor_type = 1, Tensor.shape = 2, TensorShapeProto.dim = 1, Dimension.dim_value = 1).
"""

from collections.abc import Iterator, Sequence

_TO_SHAPE = (7, 11, 2, 1, 2)
"""The fields from the model down to the shape of an input."""

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def with_input_shape(model: bytes, shape: Sequence[int]) -> bytes:
    """The same file with its first input of `shape`.

    Raises ValueError for bytes that are no ONNX file, or whose input has another number of sides.
    """
    return _rewrite(memoryview(model), _TO_SHAPE, shape)


def _rewrite(message: memoryview, path: Sequence[int], shape: Sequence[int]) -> bytes:
    """`message` with the first field `path[0]` rewritten on the way down to the shape."""
    if not path:
        return _shape(message, shape)
    parts = []
    done = False
    for field, kind, whole, content in _fields(message):
        if field == path[0] and kind == _LENGTH and not done:
            parts.append(_message(field, _rewrite(content, path[1:], shape)))
            done = True
        else:
            parts.append(bytes(whole))
    if not done:
        raise ValueError(f"the ONNX file has no field {path[0]} on the way to its input's shape")
    return b"".join(parts)


def _shape(message: memoryview, shape: Sequence[int]) -> bytes:
    sides = sum(field == 1 for field, _, _, _ in _fields(message))
    if sides != len(shape):
        raise ValueError(f"the input has {sides} sides, not {len(shape)}")
    return b"".join(_message(1, b"\x08" + _varint(side)) for side in shape)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH) + _varint(len(content)) + content


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """Number, wire type, all bytes and content of each field of a protobuf message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _LENGTH:
            length, at = _read_varint(message, at)
        elif kind == _VARINT:
            length = _read_varint(message, at)[1] - at
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"no protobuf field has the type {kind}")
        if at + length > len(message):
            raise ValueError("the file is cut short")
        yield key >> 3, kind, message[start : at + length], message[at : at + length]
        at += length


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("the file is cut short")
        value |= (message[at] & 127) << shift
        at += 1
        if message[at - 1] < 128:
            return value, at
    raise ValueError("a number has more than ten bytes")
