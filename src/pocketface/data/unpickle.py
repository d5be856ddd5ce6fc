"""Reading a pickle without running it.

Verification `.bin` files are pickles, and a pickle is a program: `pickle.load` on a stranger's
file runs what the stranger wrote. Python's own remedy, an Unpickler with an allow list, still
lets a few bytes claim gigabytes (a memo index) or hours (a hashed tower of tuples). This module
instead interprets the few opcodes that such files use, in time and memory linear in the file. No
object of Python or NumPy that the file names is ever looked up or called: the few names it may use
are answered by `pickled_names`.

Understood are None, bool, int, bytes, str, tuple, list and NumPy arrays and scalars of whole
numbers, in protocols 0 to 5. A Python-2 str is given as bytes, as `encoding="bytes"` would.
"""

import mmap
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pocketface.data.pickled_names import (
    MEANING,
    Dtype,
    RefusedError,
    UnbuiltArray,
    build_array,
    text_of,
)
from pocketface.errors import DataError

_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A global that the pickle named and that we know."""

    module: str
    name: str


# What the repr of a Python-2 str escapes.
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_ESCAPED = {b"\\": b"\\", b"'": b"'", b'"': b'"', b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unescape(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes.fromhex(escape[1:].decode("ascii"))
    if escape not in _ESCAPED:
        raise RefusedError(f"the escape {found[0]!r} in a string")
    return _ESCAPED[escape]


def unpickle(data: bytes | mmap.mmap, name: str) -> object:
    """The object that the pickle `data` describes; `name` is what errors call it.

    Raises DataError, with the byte, if the pickle is cut short, broken, or asks for anything
    beyond plain values and arrays of whole numbers; a global that it asks for is named.
    """
    machine = _Machine(data)
    try:
        return machine.run()
    except (RefusedError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(
            f"{name}: refused at byte {machine.position:,} of the pickle: {str(error)[:200]}. "
            "A verification file is a pickle of (list of encoded images, list of booleans): "
            "get it from a source you trust, or make it with `pocketface data make-bin`."
        ) from error


class _Machine:
    """The pickle's stack machine, without its power to call."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> object:
        while True:
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1:
                    raise RefusedError("it does not end with one object")
                return self.pop()
            action = _ACTIONS.get(code)
            if action is None:
                raise RefusedError(f"opcode {code!r} is not one that a verification file uses")
            action(self)

    def take(self, count: int) -> bytes:
        chunk: bytes = self.data[self.position : self.position + count]
        if len(chunk) != count:
            raise RefusedError("the file is cut short")
        self.position += count
        return chunk

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise RefusedError("the file is cut short")
        chunk: bytes = self.data[self.position : end]
        self.position = end + 1
        return chunk

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def sized(self, size: int) -> bytes:
        return self.take(self.unsigned(size))

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise RefusedError("the stack is empty")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise RefusedError("the stack is empty")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        items = []
        while self.stack and self.stack[-1] is not _MARK:
            items.append(self.stack.pop())
        if not self.stack:
            raise RefusedError("a mark is missing")
        self.stack.pop()
        return items[::-1]

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise RefusedError("an append to what is no list")
        target.extend(items)

    def append_one(self) -> None:
        self.extend([self.pop()])

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(items[::-1]))

    def put(self, key: int) -> None:
        value = self.top()
        if isinstance(value, UnbuiltArray):
            value.memo.append(key)
        self.memo[key] = value

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise RefusedError(f"memo {key} was never stored")
        self.push(self.memo[key])

    def whole_number(self) -> None:
        text = self.line()
        flags = {b"00": False, b"01": True}
        self.push(flags[text] if text in flags else int(text))

    def quoted(self) -> None:
        text = self.line().strip()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise RefusedError("a string without its quotes")
        self.push(_ESCAPE.sub(_unescape, text[1:-1]))

    def name(self, module: object, name: object) -> None:
        known = (text_of(module), text_of(name))
        if known not in MEANING:
            raise RefusedError(
                f"it asks for {known[0]}.{known[1]}, which no verification file needs"
            )
        self.push(_Name(*known))

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def reduce(self) -> None:
        arguments, target = self.pop(), self.pop()
        if not isinstance(target, _Name) or not isinstance(arguments, tuple):
            raise RefusedError("a call of what cannot be called")
        result = MEANING[target.module, target.name](*arguments)
        if isinstance(result, bytes):
            # The same text encoded again and again would make memory out of nothing.
            self.encoded += len(result)
            if self.encoded > len(self.data):
                raise RefusedError("more encoded bytes than the file holds")
        self.push(result)

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if isinstance(target, Dtype) and isinstance(state, tuple) and len(state) >= 2:
            target.order = text_of(state[1])
            if target.order not in ("|", "<", ">"):
                raise RefusedError(f"byte order {target.order!r}")
            self.push(target)
        elif isinstance(target, UnbuiltArray) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            array = build_array(data, dtype, shape, bool(fortran))
            for key in target.memo:
                self.memo[key] = array
            self.push(array)
        else:
            raise RefusedError("a state for what has none")


_ACTIONS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME
    b"(": lambda m: m.push(_MARK),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.whole_number,
    b"L": lambda m: m.push(int(m.line().rstrip(b"L"))),
    b"K": lambda m: m.push(m.unsigned(1)),
    b"M": lambda m: m.push(m.unsigned(2)),
    b"J": lambda m: m.push(struct.unpack("<i", m.take(4))[0]),
    b"\x8a": lambda m: m.push(int.from_bytes(m.sized(1), "little", signed=True)),
    b"S": _Machine.quoted,
    b"U": lambda m: m.push(m.sized(1)),  # SHORT_BINSTRING, Python 2
    b"T": lambda m: m.push(m.sized(4)),  # BINSTRING, Python 2
    b"C": lambda m: m.push(m.sized(1)),
    b"B": lambda m: m.push(m.sized(4)),
    b"\x8e": lambda m: m.push(m.sized(8)),
    b"\x96": lambda m: m.push(m.sized(8)),  # BYTEARRAY8
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"\x8c": lambda m: m.push(m.sized(1).decode("utf-8", "surrogatepass")),
    b"X": lambda m: m.push(m.sized(4).decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m.push(m.sized(8).decode("utf-8", "surrogatepass")),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_to_mark()),
    b"a": _Machine.append_one,
    b"e": lambda m: m.extend(m.pop_to_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"p": lambda m: m.put(int(m.line())),
    b"q": lambda m: m.put(m.unsigned(1)),
    b"r": lambda m: m.put(m.unsigned(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(int(m.line())),
    b"h": lambda m: m.get(m.unsigned(1)),
    b"j": lambda m: m.get(m.unsigned(4)),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": _Machine.stack_name,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
