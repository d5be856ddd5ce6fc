"""What every training set looks like, whichever files it stands in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pocketface.data.fault import Fault
from pocketface.data.fingerprint import joint_fingerprint
from pocketface.data.folder import FolderFaces
from pocketface.data.record_faces import RecordFaces
from pocketface.errors import DataError


class Faces(Protocol):
    """Encoded images of labelled people. Every implementation can be pickled and forked."""

    labels: npt.NDArray[np.int64]
    """int64 (N,), 0..people-1: who is on each image; -1: nobody known."""
    faults: list[Fault]
    """What had to be left out, by name."""

    @property
    def people(self) -> Sequence[str]:
        """A name per label."""
        ...

    def __len__(self) -> int: ...

    def encoded(self, i: int) -> bytes:
        """The encoded image `i`, for `decode_rgb`. Raises DataError if it cannot be read."""
        ...

    def name(self, i: int) -> str:
        """What to call image `i` in a message."""
        ...

    def fingerprint(self) -> str:
        """Content identity, sha256 in hexadecimal."""
        ...


def open_faces(path: Path, only: Sequence[str] | None = None) -> Faces:
    """Open a training set: a `.rec` file, a folder with `train.rec`, or a folder per person.

    `only` restricts a folder per person to these people. Raises DataError if `path` is none of
    these, or holds nothing usable.
    """
    if path.is_dir() and not (path / "train.rec").is_file():
        return FolderFaces(path, only)
    if not path.exists():
        raise DataError(
            f"{path}: no such file or folder. Give a .rec file, a folder with train.rec, "
            "or a folder that holds one folder per person."
        )
    record = path / "train.rec" if path.is_dir() else path
    if record.suffix != ".rec":
        raise DataError(
            f"{path}: not a training set: a file must end with .rec, this one ends with "
            f"'{record.suffix}'. Give a .rec file, a folder with train.rec, or a folder that "
            "holds one folder per person (a .bin holds pairs for evaluation)."
        )
    if only is not None:
        raise DataError(
            f"{record}: people can be chosen by name in a folder per person only. "
            "Leave the names away, or give such a folder."
        )
    return RecordFaces(record)


class ConcatFaces:
    """Several training sets as one. People of different sources are different people.

    Names and people carry the number of their source, from 1: `2/Ann/0001.jpg`.
    """

    def __init__(self, sources: Sequence[Faces]) -> None:
        if not sources:
            raise DataError("no training set was given. Give at least one.")
        self.sources = list(sources)
        sizes = [len(source) for source in sources]
        first_label = np.cumsum([0, *(len(source.people) for source in sources)])
        self.labels: npt.NDArray[np.int64] = np.concatenate(
            [
                np.where(source.labels < 0, source.labels, source.labels + first)
                for source, first in zip(sources, first_label, strict=False)
            ]
        )
        self._ends = np.cumsum(sizes)
        self.people: list[str] = [
            f"{number}/{person}"
            for number, source in enumerate(sources, 1)
            for person in source.people
        ]
        self.faults: list[Fault] = [
            Fault(f"{number}/{fault.name}", fault.reason)
            for number, source in enumerate(sources, 1)
            for fault in source.faults
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def _locate(self, i: int) -> tuple[int, int]:
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        number = int(np.searchsorted(self._ends, i, side="right"))
        return number, i - (int(self._ends[number - 1]) if number else 0)

    def name(self, i: int) -> str:
        """The source's number and its name for the image."""
        number, inside = self._locate(i)
        return f"{number + 1}/{self.sources[number].name(inside)}"

    def encoded(self, i: int) -> bytes:
        """The encoded bytes of image `i`."""
        number, inside = self._locate(i)
        return self.sources[number].encoded(inside)

    def fingerprint(self) -> str:
        """The fingerprint of the sources' fingerprints, in order."""
        return joint_fingerprint([source.fingerprint() for source in self.sources])
