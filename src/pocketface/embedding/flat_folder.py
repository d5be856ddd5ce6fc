"""A folder of images that nobody has sorted by person."""

from pathlib import Path

import numpy as np

from pocketface.data import Faces, open_faces
from pocketface.data.fault import Fault
from pocketface.data.fingerprint import fingerprint_of
from pocketface.data.folder import IMAGE_ENDINGS
from pocketface.errors import DataError


class FlatFolder:
    """The images that lie directly in `root`, in the order of their names; nobody is known.

    It looks like any other set of faces: `people` is empty, every label is -1.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = sorted(path.name for path in root.iterdir() if _is_image(path))
        self.labels = np.full(len(self._files), -1, np.int64)
        self.people: list[str] = []
        self.faults: list[Fault] = []

    def __len__(self) -> int:
        return len(self._files)

    def name(self, i: int) -> str:
        """The file's name."""
        return self._files[i]

    def encoded(self, i: int) -> bytes:
        """The bytes of image `i`'s file. Raises DataError if it cannot be read."""
        path = self.root / self._files[i]
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot read the image: {error.strerror}.") from error

    def fingerprint(self) -> str:
        """Content identity (sha256, hexadecimal); see `fingerprint_of`."""
        return fingerprint_of(self)


def open_images(path: Path) -> Faces:
    """Open what `open_faces` opens, or a folder with images and no sub-folders.

    Raises DataError if `path` is none of these.
    """
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        folders = any(entry.is_dir() for entry in entries)
        if not folders and any(_is_image(entry) for entry in entries):
            return FlatFolder(path)
    return open_faces(path)


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in IMAGE_ENDINGS and path.is_file()
