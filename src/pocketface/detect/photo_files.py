"""The photographs below a folder, and where their aligned faces go."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pocketface.detect.photo import PHOTO_ENDINGS
from pocketface.errors import DataError

_TOLD = (".heic", ".heif", ".avif", ".jp2")
"""Photographs that cannot be read; they are listed, so that they are reported and not lost."""


@dataclass(frozen=True)
class PhotoFiles:
    """`crops` maps each photograph to its crop, paths below the two folders in the order of names.

    `others` counts the files that are no photographs by their ending.
    """

    crops: dict[str, str]
    others: int


def list_photos(folder: Path, out: Path) -> PhotoFiles:
    """The photographs anywhere below `folder`, for crops below `out`. Hidden entries are left out.

    A crop keeps its photograph's folder and name, with the ending .png; in a folder where two
    photographs differ only by their endings every crop keeps the ending too: `a.jpg.png`.

    Raises DataError if `folder` is no folder or holds no photograph, or one lies in the other.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder. Give a folder of photographs, best with one folder per "
            "person in it."
        )
    inside, outside = out.resolve(), folder.resolve()
    if inside == outside or outside in inside.parents or inside in outside.parents:
        raise DataError(
            f"{out} and {folder} lie in one another: crops would be mistaken for photographs. "
            "Choose a folder of its own for the aligned faces."
        )
    crops: dict[str, str] = {}
    others = 0
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot list the folder: {error.strerror}.") from error

    for where, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(where)
        # A link to a folder above would be followed without end.
        folders[:] = [] if real in seen else sorted(n for n in folders if not n.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        shown = [name for name in sorted(files) if not name.startswith(".")]
        photos = [name for name in shown if name.lower().endswith(PHOTO_ENDINGS + _TOLD)]
        others += len(shown) - len(photos)
        below = PurePosixPath(Path(where).relative_to(folder).as_posix())
        crops |= {
            str(below / photo): str(below / crop) for photo, crop in _crop_names(photos).items()
        }
    if not crops:
        raise DataError(
            f"{folder}: no photograph is there ({', '.join(PHOTO_ENDINGS)}). Give a folder of "
            "photographs, best with one folder per person in it."
        )
    return PhotoFiles(crops, others)


def _crop_names(photos: list[str]) -> dict[str, str]:
    """A name for each photograph of one folder; no two are alike, on any file system."""
    stems = Counter(name.rsplit(".", 1)[0].casefold() for name in photos)
    whole = any(count > 1 for count in stems.values())
    return {name: f"{name if whole else name.rsplit('.', 1)[0]}.png" for name in photos}
