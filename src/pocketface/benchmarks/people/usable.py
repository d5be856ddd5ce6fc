"""Which images of a set can be measured at all: read, square, and of one person only.

Nothing here knows a network, so that the same images are left out for every network:
an image that cannot be decoded, is not square or shows nothing; all but the first of images of one
person that are the same byte for byte; and every image that lies, byte for byte, under two names,
since nobody can say whose it is.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.data import Faces, Fault, decode_rgb
from pocketface.errors import DataError

Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

FLAT = 4.0
"""Standard deviation of the pixels, 0 to 255, below which an image shows nothing (ours)."""

GREY = 3.0
"""Mean difference of a pixel's channels, 0 to 255, below which a picture is grey (ours)."""

_BLOCK = 1024


@dataclass(frozen=True)
class Usable:
    """The images that stay, and what was found on the way.

    Attributes:
        rows: int64 (n,), the images that stay, in the set's order.
        faults: what could not be read, by name and reason.
        copies: (kept, left out), names of images of one person that are the same bytes.
        shared: names of images that are the same bytes under two or more people; all left out.
        grey: names of images without colour; they stay.
    """

    rows: Ints
    faults: list[Fault]
    copies: list[tuple[str, str]]
    shared: list[tuple[str, ...]]
    grey: list[str]


def look_over(faces: Faces, progress: Progress | None = None) -> Usable:
    """Read every image of `faces` once; `progress` is called with (done, all).

    Raises DataError if no image stays.
    """
    faults = list(faces.faults)
    same_bytes: defaultdict[bytes, list[int]] = defaultdict(list)
    grey = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(faces), _BLOCK):
            block = range(start, min(start + _BLOCK, len(faces)))
            looks = pool.map(lambda i: _look(faces, i), block)
            for i, seen in zip(block, looks, strict=True):
                if seen.fault is not None:
                    faults.append(Fault(faces.name(i), seen.fault))
                    continue
                same_bytes[seen.digest].append(i)
                if seen.grey:
                    grey.append(faces.name(i))
            if progress is not None:
                progress(block[-1] + 1, len(faces))
    rows, copies, shared = [], [], []
    for alike in same_bytes.values():
        names = [faces.name(i) for i in alike]
        if len({int(faces.labels[i]) for i in alike}) > 1:
            shared.append(tuple(names))
            continue
        rows.append(alike[0])
        copies += [(names[0], name) for name in names[1:]]
    if not rows:
        first = f" The first: {faults[0].name}, {faults[0].reason}." if faults else ""
        raise DataError(
            f"none of the {len(faces):,} images can be used.{first} Give a folder per person with "
            "aligned faces; `pocketface align` makes them from photographs."
        )
    return Usable(np.array(sorted(rows), np.int64), faults, copies, shared, grey)


class _Look(NamedTuple):
    """What one image is like; `fault` says why it cannot be used."""

    fault: str | None
    digest: bytes = b""
    grey: bool = False


def _look(faces: Faces, i: int) -> _Look:
    name = faces.name(i)
    try:
        encoded = faces.encoded(i)
        pixels = decode_rgb(encoded, name)
    except DataError as error:
        return _Look(str(error).removeprefix(f"{name}: "))
    height, width = pixels.shape[:2]
    if height != width:
        return _Look(f"{width} x {height} pixels: an aligned face is square")
    if pixels.std() < FLAT:
        return _Look("it shows nothing: all its pixels are nearly alike")
    wide = pixels.astype(np.int16)
    spread = float((wide.max(axis=2) - wide.min(axis=2)).mean())
    return _Look(None, hashlib.sha256(encoded).digest(), spread < GREY)
