"""A LiteRT model (TensorFlow Lite's flatbuffer) put together from tensors and operators."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_FORMAT = 3
"""Version of the flatbuffer's schema."""

_MARK = b"TFL3"
"""What the files of this version have at byte 4."""

_ALIGNMENT = 16
"""Bytes to which constants are aligned, as the schema asks."""

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}


class LiteRtModel:
    """One subgraph; tensors are known by their numbers.

    `batch` is the first side of every tensor that is computed; None writes 1, and leaves it free.
    """

    def __init__(self, batch: int | None) -> None:
        self._batch = batch
        self._part = schema.SubGraphT()
        self._part.name = "network"
        self._part.tensors, self._part.operators = [], []
        self._part.inputs, self._part.outputs = [], []
        self._model = schema.ModelT()
        self._model.version = _FORMAT
        self._model.description = "pocketface"
        self._model.subgraphs = [self._part]
        self._model.operatorCodes, self._model.metadata = [], []
        self._model.buffers = [_Buffer()]  # the first is that of tensors that are computed
        self._codes: dict[int, int] = {}

    def tensor(self, sides: Sequence[int], dtype: npt.DTypeLike = np.float32) -> int:
        """A tensor (N, *sides) that is computed or given."""
        tensor = self._new_tensor((self._batch or 1, *sides), np.dtype(dtype))
        if self._batch is None:
            tensor.shapeSignature = [-1, *sides]
        return len(self._part.tensors) - 1

    def constant(self, numbers: npt.NDArray[Any]) -> int:
        """A tensor that holds these numbers: float32 or int32, or float64, which is rounded."""
        if numbers.dtype == np.float64:
            numbers = numbers.astype(np.float32)
        tensor = self._new_tensor(numbers.shape, numbers.dtype)
        tensor.buffer = self._buffer(numbers.tobytes())
        return len(self._part.tensors) - 1

    def operate(
        self, kind: int, inputs: Sequence[int], output: int, options: Any = None, version: int = 1
    ) -> None:
        """Append the operator `kind` of `BuiltinOperator`; `options` are of the object API."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind, version)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self._part.operators.append(operator)

    def give(self, tensor: int, name: str) -> None:
        """Make it an output."""
        self._part.tensors[tensor].name = name
        self._part.outputs.append(tensor)

    def take(self, tensor: int, name: str) -> None:
        """Make it an input."""
        self._part.tensors[tensor].name = name
        self._part.inputs.append(tensor)

    def pack(self, metadata: Mapping[str, str]) -> bytes:
        """The content of the file, with these entries among its metadata."""
        for name, text in metadata.items():
            entry = schema.MetadataT()
            entry.name, entry.buffer = name, self._buffer(text.encode())
            self._model.metadata.append(entry)
        builder = flatbuffers.Builder(sum(len(b.data or b"") + 1024 for b in self._model.buffers))
        builder.Finish(self._model.Pack(builder), _MARK)
        return bytes(builder.Output())

    def _new_tensor(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), _TYPES[dtype]
        tensor.name, tensor.hasRank = str(len(self._part.tensors)), True
        self._part.tensors.append(tensor)
        return tensor

    def _buffer(self, content: bytes) -> int:
        buffer = _Buffer()
        buffer.data = content
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _code(self, kind: int, version: int) -> int:
        """The place of the operator among the model's codes."""
        if kind not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = kind, version
            # Readers of before 2020 know this field only, which ends at 127.
            code.deprecatedBuiltinCode = min(kind, 127)
            self._codes[kind] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[kind]


class _Buffer(schema.BufferT):  # type: ignore[misc, unused-ignore]
    """A constant's bytes, which the schema's own class would not align."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's name
        if self.data is not None:
            size = len(self.data)
            builder.StartVector(1, size, _ALIGNMENT)
            builder.head -= size
            builder.Bytes[builder.head : builder.head + size] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)
