import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from pocketface.data import jpeg
from pocketface.data.jpeg import decode_rgb
from pocketface.errors import DataError


def pattern(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([8 * x, 10 * y, 4 * (x + y)], axis=2).astype(np.uint8)


def test_jpeg_is_rgb_and_close_to_what_was_encoded(encode):
    data = encode(Image.fromarray(pattern()), "JPEG", quality=98, subsampling=0)
    pixels = decode_rgb(data, "x")
    assert pixels.dtype == np.uint8
    assert pixels.shape == (24, 32, 3)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - pattern()).max() <= 12  # channels exchanged differ by 100+


@pytest.mark.parametrize("kind", ["PNG", "PPM", "BMP", "TIFF"])
def test_lossless_formats_are_exact(encode, kind):
    pixels = decode_rgb(encode(Image.fromarray(pattern()), kind), "x")
    np.testing.assert_array_equal(pixels, pattern())
    assert pixels.flags.writeable


def test_grey_palette_alpha_and_sixteen_bits_become_rgb(encode):
    grey = pattern()[:, :, 0]
    three = np.repeat(grey[:, :, None], 3, axis=2)
    for data in (
        encode(Image.fromarray(grey), "PPM"),  # a PGM
        encode(Image.fromarray(grey), "PNG"),
        encode(Image.fromarray(grey).convert("P"), "PNG"),
        encode(Image.fromarray(grey).convert("LA"), "PNG"),
        encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        b"P5 32 24 65535\n" + (grey.astype(">u2") * 257).tobytes(),
    ):
        pixels = decode_rgb(data, "x")
        np.testing.assert_array_equal(pixels, three)
        assert pixels.flags.writeable
    alpha = Image.fromarray(np.dstack([pattern(), grey]))
    np.testing.assert_array_equal(decode_rgb(encode(alpha, "PNG"), "x"), pattern())
    jpeg_grey = decode_rgb(encode(Image.fromarray(grey), "JPEG", quality=98), "x")
    assert np.abs(jpeg_grey.astype(int) - three).max() <= 6


def test_palette_with_transparent_entries_leaks_no_warning(encode):
    image = Image.fromarray(pattern()).quantize(8)
    data = encode(image, "PNG", transparency=bytes([0, 128, 255]))
    assert decode_rgb(data, "x").shape == (24, 32, 3)


@pytest.mark.parametrize("with_simplejpeg", [True, False])
def test_cmyk_jpeg(encode, with_simplejpeg, monkeypatch):
    if not with_simplejpeg:
        monkeypatch.setattr(jpeg, "simplejpeg", None)
    image = Image.fromarray(np.full((16, 16, 3), (200, 30, 60), np.uint8)).convert("CMYK")
    pixels = decode_rgb(encode(image, "JPEG", quality=95), "x")
    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 8


def test_without_simplejpeg_the_same_pixels_up_to_rounding(encode, monkeypatch):
    data = encode(Image.fromarray(pattern()), "JPEG", quality=95)
    fast = decode_rgb(data, "x").astype(int)
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    assert np.abs(decode_rgb(data, "x").astype(int) - fast).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PPM", "BMP"])
@pytest.mark.parametrize("with_simplejpeg", [True, False])
def test_truncation_anywhere_is_an_error_that_names_the_image(
    encode, kind, with_simplejpeg, monkeypatch
):
    if not with_simplejpeg:
        monkeypatch.setattr(jpeg, "simplejpeg", None)
    data = encode(Image.fromarray(pattern()), kind)
    for length in range(len(data)):
        with pytest.raises(DataError, match=r"Ann/7\.jpg"):
            decode_rgb(data[:length], "Ann/7.jpg")


def test_truncated_png_is_an_error_unless_every_pixel_is_there(encode):
    data = encode(Image.fromarray(pattern()), "PNG")
    refused = 0
    for length in range(len(data)):
        try:
            np.testing.assert_array_equal(decode_rgb(data[:length], "x"), pattern())
        except DataError:
            refused += 1
    assert refused >= len(data) - 24  # checksums and the last chunk carry no pixels


def test_broken_middle_of_a_jpeg_is_an_error(encode):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encode(Image.fromarray(noise), "JPEG"))
    middle = len(data) // 2
    data[middle : middle + 2] = b"\xff\xd9"
    with pytest.raises(DataError, match="Bob: cannot decode"):
        decode_rgb(bytes(data), "Bob")


def test_not_an_image_and_empty():
    with pytest.raises(DataError, match="not a JPEG, PNG"):
        decode_rgb(b"GIF89a" + bytes(40), "x")
    with pytest.raises(DataError, match="0 bytes"):
        decode_rgb(b"", "x")


def test_absurd_sizes_are_refused_before_memory_is_taken(encode):
    data = bytearray(encode(Image.fromarray(pattern()), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65000, 65000)
    with pytest.raises(DataError, match="65000x65000"):
        decode_rgb(bytes(data), "x")
    with pytest.raises(DataError, match=r"x: .*(1600000000|40000x40000)"):
        decode_rgb(b"P5 40000 40000 255\n", "x")


def test_floating_point_images_are_refused(encode):
    data = encode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")
    with pytest.raises(DataError, match="floating point"):
        decode_rgb(data, "x")


def test_a_jpeg_of_the_right_shape_is_decoded_in_place() -> None:
    pixels = np.kron(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), np.ones((4, 4, 3), np.uint8))
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90)
    batch = np.zeros((2, 32, 32, 3), np.uint8)
    decoded = decode_rgb(data, "face", batch[1])
    assert np.shares_memory(decoded, batch)
    assert np.array_equal(batch[1], decode_rgb(data, "face"))
    assert not batch[0].any()


@pytest.mark.parametrize("side", [16, 48])
def test_a_jpeg_of_another_shape_is_not(side: int) -> None:
    pixels = np.full((side, side, 3), 90, np.uint8)
    data = simplejpeg.encode_jpeg(pixels, quality=90)
    out = np.zeros((32, 32, 3), np.uint8)
    decoded = decode_rgb(data, "face", out)
    assert decoded.shape == (side, side, 3)
    assert not np.shares_memory(decoded, out)
    assert np.array_equal(decoded, decode_rgb(data, "face"))


def test_a_broken_jpeg_is_an_error_with_a_place_to_decode_to() -> None:
    data = simplejpeg.encode_jpeg(np.full((32, 32, 3), 90, np.uint8), quality=90)
    with pytest.raises(DataError, match="face"):
        decode_rgb(data[: len(data) // 2], "face", np.zeros((32, 32, 3), np.uint8))
