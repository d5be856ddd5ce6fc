"""Photographs of every kind, each against Pillow's own way to read it where there is one."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pocketface.detect.photo import MAX_BYTES, decode_photo, read_photo, turn_upright
from pocketface.errors import DataError


def picture(height=24, width=36, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def close(found, wanted, by):
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).mean() <= by


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_stand_upright(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(picture(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    close(decode_photo(data, "a"), wanted, 1.0)


def test_turning_upright_by_hand():
    """Where the first row and column of the file stand in the upright picture."""
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = {
        1: [[0, 1, 2], [3, 4, 5]],
        2: [[2, 1, 0], [5, 4, 3]],
        3: [[5, 4, 3], [2, 1, 0]],
        4: [[3, 4, 5], [0, 1, 2]],
        5: [[0, 3], [1, 4], [2, 5]],
        6: [[3, 0], [4, 1], [5, 2]],
        7: [[5, 2], [4, 1], [3, 0]],
        8: [[2, 5], [1, 4], [0, 3]],
    }
    for orientation, wanted in seen.items():
        found = turn_upright(np.repeat(stored[:, :, None], 3, axis=2), orientation)
        np.testing.assert_array_equal(found[:, :, 0], wanted)
        assert found.flags.c_contiguous


def test_grey_palette_cmyk_and_sixteen_bits():
    image = picture()
    rgb, grey = np.asarray(image), np.asarray(image.convert("L"))
    threefold = np.repeat(grey[:, :, None], 3, axis=2)
    close(decode_photo(saved(image.convert("L"), "PNG"), "a"), threefold, 0)
    close(decode_photo(saved(image.convert("L"), "JPEG", quality=95), "a"), threefold, 3)
    palette = image.quantize(64)
    close(decode_photo(saved(palette), "a"), np.asarray(palette.convert("RGB")), 0)
    close(decode_photo(saved(palette, "GIF"), "a"), np.asarray(palette.convert("RGB")), 0)
    close(decode_photo(saved(image.convert("CMYK"), "JPEG", quality=95), "a"), rgb, 6)
    close(decode_photo(saved(image.convert("CMYK"), "TIFF"), "a"), rgb, 1)
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    close(decode_photo(saved(wide), "a"), threefold, 0)
    close(decode_photo(saved(wide, "TIFF"), "a"), threefold, 0)
    close(
        decode_photo(saved(image.convert("1")), "a"),
        np.asarray(image.convert("1").convert("RGB")),
        0,
    )


def test_sixteen_bit_colour():
    rgb = np.asarray(picture())
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in rgb)
    height, width = rgb.shape[:2]
    data = png(struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0), rows)
    close(decode_photo(data, "a"), rgb, 0.5)


def png(header, rows):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    start = b"\x89PNG\r\n\x1a\n"
    return (
        start + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_stands_on_white(kind):
    image = picture().convert("RGBA")
    alpha = np.zeros((24, 36), np.uint8)
    alpha[:, 18:] = 255
    image.putalpha(Image.fromarray(alpha))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode_photo(saved(image, kind, **options), "a")
    assert (found[:, :18] == 255).all()
    close(found[:, 18:], np.asarray(picture())[:, 18:], 0)


def test_of_an_animation_the_first_picture():
    first, second = picture(seed=1).quantize(64), picture(seed=2).quantize(64)
    data = saved(first, "GIF", save_all=True, append_images=[second])
    close(decode_photo(data, "a"), np.asarray(first.convert("RGB")), 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_very_small_and_very_long_pictures(size):
    for kind in ("PNG", "JPEG"):
        assert decode_photo(saved(Image.new("RGB", size), kind), "a").shape == (*size[::-1], 3)


@pytest.mark.parametrize(
    ("width", "height"), [(10_001, 10_000), (40_000, 40_000), (2**31 - 1, 2**31 - 1)]
)
def test_bombs_are_refused_before_they_take_memory(width, height):
    data = png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"\0" * 100)
    with pytest.raises(DataError, match=r"bomb\.png: .* at most 100,000,000 are allowed"):
        decode_photo(data, "bomb.png")
    bomb = bytearray(saved(Image.new("L", (16, 16)), "JPEG"))
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    with pytest.raises(DataError, match=r"bomb\.jpg: .* at most 100,000,000 are allowed"):
        decode_photo(bytes(bomb), "bomb.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_picture_cut_short_is_an_error(kind):
    data = saved(picture(200, 300).convert("P" if kind == "GIF" else "RGB"), kind)
    for length in (len(data) // 2, 30, 3):
        with pytest.raises(DataError, match="half"):
            decode_photo(data[:length], "half")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"plain text, no picture", "not a JPEG, PNG"),
        (b"%PDF-1.7 ...........", "not a JPEG, PNG"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "Convert it to JPEG"),
        (b"\xff\xd8\xff\xe0 no jpeg at all", "cannot decode"),
        (saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floating point"),
    ],
)
def test_what_is_no_picture_is_one_clear_error(data, message):
    with pytest.raises(DataError, match=message) as caught:
        decode_photo(data, "some.jpg")
    assert str(caught.value).startswith("some.jpg: ")


def test_paths_that_hold_no_photograph(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "sealed.jpg").write_bytes(b"x")
    (tmp_path / "huge.png").touch()
    os.truncate(tmp_path / "huge.png", MAX_BYTES + 1)
    for name, message in (
        (".", "a folder"),
        ("absent.jpg", "no such file"),
        ("pipe.jpg", "not a regular file"),
        ("huge.png", "at most 1,000,000,000"),
        ("sealed.jpg", "not a JPEG"),
    ):
        with pytest.raises(DataError, match=message):
            read_photo(tmp_path / name)
    (tmp_path / "good.jpg").write_bytes(saved(picture(), "JPEG"))
    assert read_photo(tmp_path / "good.jpg").shape == (24, 36, 3)


def test_a_damaged_tag_block_spoils_no_pixel():
    exif = Image.Exif()
    exif[274] = 6
    data = saved(picture(), "JPEG", exif=exif)
    at = data.index(b"Exif\0\0")
    damaged = data[: at + 6] + b"\xee" * 8 + data[at + 14 :]
    assert decode_photo(damaged, "a").shape in ((24, 36, 3), (36, 24, 3))


KINDS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM")


def one_answer(data):
    """Pixels or one DataError that names the file; anything else is a fault."""
    try:
        found = decode_photo(data, "fuzz.jpg")
    except DataError as error:
        fault = str(error)
    else:
        assert found.dtype == np.uint8
        assert found.ndim == 3
        assert found.shape[2] == 3
        return
    assert fault.startswith("fuzz.jpg: ")


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    st.integers(0, 4000),
    st.binary(max_size=40),
)
def test_damaged_pictures_never_crash(kind, changes, keep, more):
    exif = Image.Exif()
    exif[274] = 8
    options = {"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    data = bytearray(saved(picture(), kind, **options))
    for place, value in changes:
        data[place % len(data)] = value
    one_answer(bytes(data[: keep or len(data)]) + more)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"P5\n",
         b"P6 4 4 255\n", b"RIFF\x20\0\0\0WEBPVP8 "]
    ),
    st.binary(max_size=300),
)  # fmt: skip
def test_random_bytes_never_crash(start, rest):
    one_answer(start + rest)
