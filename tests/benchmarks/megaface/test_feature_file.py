"""The devkit's feature file: its bytes, and every way in which they can be wrong."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pocketface.benchmarks.megaface.feature_file import (
    decode_feature,
    encode_feature,
    read_feature,
)
from pocketface.errors import DataError


def test_the_bytes_are_a_header_of_four_numbers_and_the_values():
    values = np.array([1.5, -2.0, 0.25], np.float32)
    assert encode_feature(values) == struct.pack("<4i3f", 3, 1, 4, 5, 1.5, -2.0, 0.25)
    wide = encode_feature(values.astype(np.float64))
    assert wide == struct.pack("<4i3d", 3, 1, 8, 6, 1.5, -2.0, 0.25)
    assert encode_feature(values.astype(np.float16)) == encode_feature(values)
    assert encode_feature(values.astype(">f8")) == wide
    # A type of eight bytes whose stride says four was written by others too.
    odd = struct.pack("<4i", 3, 1, 4, 6) + wide[16:]
    np.testing.assert_array_equal(decode_feature(odd, "odd"), values.astype(np.float64))


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda kind: arrays(kind, st.integers(1, 9), elements={"allow_nan": False})
    )
)
def test_what_is_written_is_read(values):
    if not np.isfinite(values).all():
        with pytest.raises(DataError, match="not finite"):
            decode_feature(encode_feature(values), "f")
        return
    found = decode_feature(encode_feature(values), "f")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


WHOLE = encode_feature(np.arange(1, 5, dtype=np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes cannot hold the header"),
        (WHOLE[:15], "15 bytes cannot hold the header"),
        (WHOLE[:-1], "cut short: 31 bytes, where 4 values of 4 bytes and the header are 32"),
        (WHOLE[:16], "cut short: 16 bytes"),
        (WHOLE + b"\0", "too long: 33 bytes"),
        (struct.pack("<4i", 4, 1, 4, 4) + WHOLE[16:], r"the header is \(4, 1, 4, 4\)"),
        (struct.pack("<4i", 4, 2, 4, 5) + WHOLE[16:], r"the header is \(4, 2, 4, 5\)"),
        (struct.pack("<4i", 4, 1, 8, 5) + WHOLE[16:], r"the header is \(4, 1, 8, 5\)"),
        (struct.pack("<4i", 0, 1, 4, 5), r"the header is \(0, 1, 4, 5\)"),
        (struct.pack("<4i", -4, 1, 4, 5) + WHOLE[16:], r"the header is \(-4, 1, 4, 5\)"),
        (struct.pack("<4i", 1 << 30, 1, 4, 5) + WHOLE[16:], "the header is"),
        (struct.pack(">4i", 4, 1, 4, 5) + WHOLE[16:], "the header is"),
        (encode_feature(np.array([1, np.nan, np.inf])), "2 of 3 values are not finite"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "x_net.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"x_net\.bin: .*{message}"):
        read_feature(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.bin cannot be read: No such file"):
        read_feature(tmp_path / "gone.bin")
