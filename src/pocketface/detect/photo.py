"""Any photograph to upright RGB pixels, or one clear error.

Aligned faces come out of our own tools and are decoded by `data.jpeg`. Photographs come from
anywhere: cameras write the way up into a tag (EXIF) instead of turning the pixels, drawings have
transparent parts, and a small file can claim to be enormous. All that is settled here.
"""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from pocketface.data.jpeg import JPEG_START, MAX_PIXELS, decode_rgb, quiet_pillow, to_rgb
from pocketface.errors import DataError

Pixels = npt.NDArray[np.uint8]

PHOTO_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".tif", ".tiff"),
    *(".bmp", ".gif", ".pgm", ".ppm", ".pnm"),
)
"""The names that photographs have; what a file is, its content says."""

MAX_BYTES = 1_000_000_000
"""A larger file is not read: 100,000,000 pixels of 16-bit colour take 600 MB."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
_NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF, PGM or PPM"


def read_photo(path: Path) -> Pixels:
    """Read the photograph at `path`. Raises DataError as `read_file` and `decode_photo`."""
    return decode_photo(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a photograph's file.

    Raises DataError where there is no such file, it is a folder or no regular file, it cannot be
    read or is larger than `MAX_BYTES`.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder, where one photograph was expected. Name a file in it.")
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the name.")
    # A pipe or a device would be waited for without end.
    if not path.is_file():
        raise DataError(f"{path}: not a regular file. Copy the photograph into a file first.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(
                f"{path}: the file has {size:,} bytes; at most {MAX_BYTES:,} are read. Make the "
                "photograph smaller."
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}. Check its permissions and its disk."
        ) from error


def decode_photo(data: bytes, name: str) -> Pixels:
    """Decode a photograph to upright `uint8 (H, W, 3)` RGB.

    The EXIF orientation is applied. Grey, palette, CMYK and 16-bit pictures become 8-bit RGB; what
    is transparent stands on white (our choice, as most viewers show it); of an animation the first
    picture is taken. Raises DataError, naming the photograph as `name`, for bytes that are empty,
    no picture of a known kind, cut short or broken, and for pictures of more than
    `data.jpeg.MAX_PIXELS` pixels, before memory is taken for them.
    """
    if not data:
        raise DataError(f"{name}: the file is empty. Copy the photograph again from its source.")
    with quiet_pillow():
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise _too_large(name, f"{width} x {height}")
                if image.format not in ("JPEG", "MPO"):  # MPO: JPEGs of several lenses
                    image.load()
                    # Asked after loading, since Pillow turns some kinds upright itself.
                    return turn_upright(_on_white(image), _orientation(image))
                orientation = _orientation(image)
        except DataError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(name, "many more") from error
        except UnidentifiedImageError as error:
            if data[:2] != JPEG_START:
                raise _unknown(name, data) from error
            orientation = 1  # the JPEG decoder says what is wrong with it
        except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error..
            raise _broken(name, data, error) from error
    return turn_upright(decode_rgb(data, name), orientation)


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8) of (H, W, 3); any other number leaves the picture alone.

    The numbers say where the picture's first row and first column stand (EXIF 2.32, tag 274).
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(found)
    except Exception:  # a damaged tag block spoils no pixel
        return 1


def _on_white(image: Image.Image) -> Pixels:
    if not image.has_transparency_data:
        return to_rgb(image)
    front = image.convert("RGBA")
    ground = Image.new("RGBA", front.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(ground, front).convert("RGB"))


def _too_large(name: str, size: str) -> DataError:
    return DataError(
        f"{name}: the picture claims {size} pixels; at most {MAX_PIXELS:,} are allowed. Make it "
        "smaller, or leave it out."
    )


def _unknown(name: str, data: bytes) -> DataError:
    if data[4:8] == b"ftyp":
        return DataError(
            f"{name}: a HEIC, AVIF or video file, which cannot be read. Convert it to JPEG first."
        )
    return DataError(
        f"{name}: not a {_NAMES} picture (it begins with {data[:8]!r}). Convert it, or leave it "
        "out."
    )


def _broken(name: str, data: bytes, error: Exception) -> DataError:
    return DataError(
        f"{name}: cannot decode the picture ({len(data):,} bytes): "
        f"{str(error) or type(error).__name__}. Copy it again from its source, or leave it out."
    )
