"""Images that each lie in a file of their own below one folder: what such data sets share."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.data.fault import Fault
from pocketface.data.fingerprint import fingerprint_of
from pocketface.errors import DataError


class ImageFiles(ABC):
    """Labelled image files below `root`.

    A subclass sets `people`, `faults`, `labels` int64 (N,) and says the `name` of each image, its
    path below the root.
    """

    people: list[str]
    faults: list[Fault]
    labels: npt.NDArray[np.int64]
    _fingerprint: str | None = None

    def __init__(self, root: Path) -> None:
        self.root = root

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, i: int) -> str:
        """The path of image `i` below the root."""

    def encoded(self, i: int) -> bytes:
        """The bytes of image `i`'s file. Raises DataError if it cannot be read."""
        path = self.root / self.name(i)
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: cannot read the image: {error.strerror}. "
                "It was there when the folder was opened: restore it and run again."
            ) from error

    def fingerprint(self) -> str:
        """Content identity (sha256, hexadecimal); see `fingerprint_of`. Computed once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self)
        return self._fingerprint
