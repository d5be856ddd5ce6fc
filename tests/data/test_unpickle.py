import builtins
import contextlib
import functools
import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.data.unpickle import unpickle
from pocketface.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.binary(max_size=300), st.text()
)
plain = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner), st.lists(inner).map(tuple)), max_leaves=20
)


def without_empty_bytes(value):
    """Protocols 0 to 2 spell b"" as a call of `bytes`, which no image needs."""
    if value == b"" and isinstance(value, bytes):
        return b"x"
    if isinstance(value, list | tuple):
        return type(value)(map(without_empty_bytes, value))
    return value


@given(plain, st.sampled_from(PROTOCOLS))
@settings(deadline=None)
def test_plain_values_are_read_as_pickle_reads_them(value, protocol):
    value = without_empty_bytes(value)
    again = unpickle(pickle.dumps(value, protocol=protocol), "x")
    assert again == value
    assert repr(again) == repr(value)  # True is no 1, a tuple no list


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_arrays_of_whole_numbers(protocol):
    flat = np.arange(7, dtype=np.uint8)
    arrays = [
        flat,
        flat,  # the same object twice: the second is a memo
        flat.reshape(7, 1),
        np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3)),
        np.arange(5, dtype=">i4") - 2,
        np.array([True, False]),
    ]
    read = unpickle(pickle.dumps((arrays, [np.bool_(True), np.int64(-3)]), protocol=protocol), "x")
    for expected, got in zip(arrays, read[0], strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype
    assert read[1] == [True, -3]
    assert read[1][0] is True


def test_python_two_pickles():
    # What Python 2 writes for (['\xff\xd8', 'it\'s'], [True, False]), by protocol.
    zero = b"(lp1\nS'\\xff\\xd8'\np2\naS\"it's\"\np3\na(lp4\nI01\naI00\na\x86."
    two = b"\x80\x02]q\x01(U\x02\xff\xd8q\x02T\x04\x00\x00\x00it'sq\x03e]q\x04(\x88\x89e\x86q\x05."
    for data in (zero, two):
        assert unpickle(data, "x") == ([b"\xff\xd8", b"it's"], [True, False])
        assert pickle.loads(data, encoding="bytes") == ([b"\xff\xd8", b"it's"], [True, False])
    assert unpickle(b"S'a\\\\b\\n\\t\\r\\'\\x00'\n.", "x") == b"a\\b\n\t\r'\0"
    assert unpickle(b"L12345678901234567890L\n.", "x") == 12345678901234567890


def test_python_two_numpy_array():
    minus_one = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01|NNN" + minus_one + minus_one + b"K\x00tb"
    dtype = b"cnumpy\ndtype\nq\x05(U\x02u1K\x00K\x01tR" + state
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85" + dtype + b"\x89U\x03abctb."
    )
    np.testing.assert_array_equal(unpickle(data, "x"), np.frombuffer(b"abc", np.uint8))


class Call:
    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch /tmp/pwned",), r"(posix|nt)\.system"),
        (builtins.eval, ("1",), r"(builtins|__builtin__)\.eval"),
        (builtins.getattr, (1, "real"), r"getattr"),
        (functools.partial, (print,), r"functools\.partial"),
        (np.load, ("x",), r"numpy\.load"),
        (bytearray, (b"x",), r"bytearray|opcode"),
    ],
)
def test_calls_are_refused_by_name_wherever_they_hide(protocol, function, arguments, name):
    attack = Call(function, *arguments)
    for content in (attack, ([b"x", attack], [True]), ([b"x", b"y"], [attack]), [[[(attack,)]]]):
        data = pickle.dumps(content, protocol=protocol)
        if function is bytearray and protocol == 5:
            continue  # plain data there
        with pytest.raises(DataError, match=name):
            unpickle(data, "evil.bin")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_object_arrays_and_other_dtypes_are_refused(protocol):
    for array in (
        np.array([None, Call(os.system, "x")], dtype=object),
        np.array([1.5]),
        np.array(["a"]),
        np.array([(1, 2)], dtype=[("a", "u1"), ("b", "O")]),
        np.array(["2020"], dtype="M8[Y]"),
    ):
        with pytest.raises(DataError, match="refused at byte"):
            unpickle(pickle.dumps(([array], [True]), protocol=protocol), "evil.bin")


def test_the_names_that_are_known_cannot_be_misused():
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    dtype = b"cnumpy\ndtype\n(S'u1'\ntR"
    for attack in (
        b"cnumpy\nndarray\n(K\x01tR.",  # a call of the class
        b"c_codecs\nencode\n(Va\nS'rot13'\ntR.",  # another codec
        b"c_codecs\nencode\n(K\x01Vlatin1\ntR.",
        reconstruct + b"(ccollections\nOrderedDict\n(K\x00tS'b'\ntR.",
        reconstruct + b"(tR(I1\nI2\ntb.",  # a state of the wrong size
        reconstruct + b"(tR(I1\n(I9\nt" + dtype + b"I00\nS'abc'\ntb.",  # 9 elements in 3 bytes
        reconstruct + b"(tR(I1\n(I-3\nI-1\nt" + dtype + b"I00\nS'abc'\ntb.",
        reconstruct + b"(tR(I1\n(I0\nL" + b"9" * 40 + b"L\nt" + dtype + b"I00\nS''\ntb.",
        dtype + b"(I3\nS'$'\ntb.",
        reconstruct + b"S'x'\nb.",  # a state for a function
        b"cnumpy\ndtype\n}S'__call__'\nK\x01sb.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy\ndtype\n(tR.",
        b"cnumpy\ndtype.newbyteorder\n.",
    ):
        with pytest.raises(DataError, match="refused at byte"):
            unpickle(attack, "evil.bin")


def test_an_array_whose_shape_does_not_fit_its_bytes():
    data = pickle.dumps(np.arange(3, dtype=np.uint8), protocol=2).replace(
        b"K\x03\x85", b"K\x09\x85"
    )
    with pytest.raises(DataError, match=r"an array of shape \(9,\) with 3 bytes"):
        unpickle(data, "x")


@pytest.mark.parametrize(
    "attack",
    [
        b"}.",  # dict
        b"\x8f.",  # set
        b"(ios\nsystem\n.",  # INST
        b"(cos\nsystem\no.",  # OBJ
        b"cos\nsystem\n)\x81.",  # NEWOBJ
        b"Px\n.",  # PERSID
        b"\x82\x01.",  # EXT1
        b"K\x0120.",  # DUP
        b"G" + bytes(8) + b".",  # float
    ],
)
def test_other_opcodes_are_refused(attack):
    with pytest.raises(DataError, match="refused at byte"):
        unpickle(attack, "evil.bin")


BOMBS = {
    "memo index": b"]r\xff\xff\xff\x7f.",
    "promised bytes": b"\x8e" + struct.pack("<Q", 2**62) + b"x",
    "promised text": b"X\xff\xff\xff\xffx",
    "promised number": b"\x8b\xff\xff\xff\x7f1",
    "decimal digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "encode again": (
        b"(c_codecs\nencode\np0\n(X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"Vlatin1\ntp1\n"
        b"0" + b"g0\ng1\nR" * 3000 + b"t."
    ).replace(b"p1\n0", b"p1\n"),
    "hash tower": b"}(K\x01" + b"p0\n" + b"h\x00\x86" * 60 + b"K\x01u.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_neither_memory_nor_time(name):
    tracemalloc.start()
    begin = time.monotonic()
    try:
        unpickle(BOMBS[name], "bomb.bin")
    except DataError:
        pass
    else:
        assert name == "memo index"  # harmless here: the memo is a dictionary
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20_000_000
    assert time.monotonic() - begin < 2


def test_truncation_anywhere_and_trailing_rubbish():
    data = pickle.dumps(([np.arange(4, dtype=np.uint8), b"x" * 300], [True]), protocol=4)
    for length in range(len(data)):
        with pytest.raises(DataError, match="cut short"):
            unpickle(data[:length], "x")


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=300)
def test_random_bytes_never_crash(data):
    with contextlib.suppress(DataError):
        unpickle(data, "x")


def test_a_long_name_makes_no_long_message():
    with pytest.raises(DataError) as caught:
        unpickle(b"c" + b"o" * 10_000 + b"\nsystem\n.", "x")
    assert len(str(caught.value)) < 600


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_pickles_never_crash(data):
    protocol = data.draw(st.sampled_from(PROTOCOLS))
    content = ([np.arange(4, dtype=np.uint8), b"x" * 9, "t"], [True, np.bool_(False), 7])
    raw = bytearray(pickle.dumps(content, protocol=protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        unpickle(bytes(raw), "x")
