"""Encoded images to pixels: simplejpeg for JPEG, Pillow for every other image.

Strict on purpose: an image that lost its end decodes to a half grey face without complaint in
most libraries, and a network would learn from it. Here it is an error that names the image.
Orientation tags (EXIF) are not applied: aligned faces carry none.
"""

import contextlib
import importlib
import io
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pocketface.errors import DataError

try:
    simplejpeg: ModuleType | None = importlib.import_module("simplejpeg")
except ImportError:  # a platform without its wheel: Pillow decodes everything, more slowly
    simplejpeg = None

JPEG_START = b"\xff\xd8"
# A 60 kB file can claim 65,500 x 65,500 pixels, which is 12 GiB. No photograph of a face needs it.
MAX_PIXELS = 100_000_000
_PILLOW_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF")
# Changing the warning filters is not safe between threads.
_WARNINGS_LOCK = threading.Lock()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Hold back Pillow's warnings, in one thread at a time.

    Pillow warns where we are strict already, or where nothing is lost (odd metadata).
    """
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode_rgb(
    data: bytes, name: str, out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Decode one encoded image to `uint8 (H, W, 3)` RGB.

    `data` is a JPEG, PNG, PGM/PPM, BMP, WebP or TIFF file; grey, palette, CMYK and 16-bit grey
    become RGB, an alpha channel is dropped. A JPEG of the shape of `out`, which is contiguous, is
    decoded into it, and `out` is returned; this saves a batch one copy. Raises DataError, naming
    the image as `name`, if the bytes are no such image, are cut short or are broken.
    """
    if simplejpeg is not None and data[:2] == JPEG_START:
        if out is not None:
            inside: npt.NDArray[np.uint8] | None = None
            # An error: it is larger than `out`, or broken; the way below tells.
            with contextlib.suppress(ValueError):
                inside = simplejpeg.decode_jpeg(data, "RGB", buffer=out)
            if inside is not None:
                return out if inside.shape == out.shape else inside.copy()
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            # An unusual subsampling, or a broken header: Pillow decides which.
            return _decode_with_pillow(data, name)
        if height * width > MAX_PIXELS:
            raise _too_large(name, width, height)
        try:
            pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace="RGB")
        except ValueError as error:
            raise _broken(name, data, error) from error
        return pixels
    return _decode_with_pillow(data, name)


def _decode_with_pillow(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    with quiet_pillow():
        try:
            with Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise _too_large(name, width, height)
                return to_rgb(image)
        except DataError:
            raise
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error..
            raise _broken(name, data, error) from error


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """An opened picture as `uint8 (H, W, 3)` RGB; 16-bit grey is scaled, alpha is dropped.

    Raises ValueError for grey values that are no 8 or 16-bit numbers, and what Pillow raises.
    """
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255
        values = np.asarray(image, dtype=np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("grey values beyond 16 bits")
        grey = ((values + 128) // 257).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if image.mode == "F":
        raise ValueError("grey values are floating point numbers")
    # np.array, not asarray: the caller may write into its pixels.
    return np.array(image.convert("RGB"))


def _too_large(name: str, width: int, height: int) -> DataError:
    return DataError(
        f"{name}: the image claims {width}x{height} pixels; at most {MAX_PIXELS:,} are allowed. "
        "Make it smaller, or remove it."
    )


def _broken(name: str, data: bytes, error: Exception) -> DataError:
    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = f"not a JPEG, PNG, PGM, BMP, WebP or TIFF image (it begins with {data[:8]!r})"
    return DataError(
        f"{name}: cannot decode the image ({len(data):,} bytes): {reason}. "
        "Copy it again from its source, or remove it."
    )


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """`uint8 (H, W, 3)` RGB as a PNG, which loses nothing."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
