"""Images of faces whose people nobody has named, for a teacher to speak of."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.data.faces import Faces, open_faces
from pocketface.data.fault import Fault
from pocketface.data.fingerprint import fingerprint_of
from pocketface.data.folder import IMAGE_ENDINGS
from pocketface.data.image_files import ImageFiles
from pocketface.errors import DataError

UNKNOWN = -1
"""The label of an image of nobody known."""


class ImageTree(ImageFiles):
    """All images in `root` and in its folders at any depth, in the order of their paths.

    Hidden entries are passed over. A file that is no image by its ending, and a folder that cannot
    be listed, becomes a named fault; links to folders are followed once. `people` is empty and
    every label is -1. Raises DataError if there is no image.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder. Give a folder of images, or a .rec file.")
        super().__init__(root)
        self.people = []
        self.faults = []
        files: list[str] = []
        self._look_into(root, "", files, {os.path.realpath(root)})
        if not files:
            raise DataError(
                f"{root}: no image is there, at any depth. Give a folder of images "
                f"({', '.join(IMAGE_ENDINGS)}), or a .rec file."
            )
        self.faults.sort()
        # One array instead of millions of strings: worker processes share its pages.
        self._files = np.array([os.fsencode(name) for name in sorted(files)], dtype=np.bytes_)
        self.labels = np.full(len(files), UNKNOWN, np.int64)

    def name(self, i: int) -> str:
        """The path of image `i` below the root."""
        return os.fsdecode(bytes(self._files[i]))

    def _look_into(self, folder: Path, prefix: str, files: list[str], seen: set[str]) -> None:
        try:
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError as error:
            self.faults.append(Fault(prefix, f"cannot list the folder: {error.strerror}"))
            return
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real not in seen:
                    seen.add(real)
                    self._look_into(Path(entry.path), f"{name}/", files, seen)
            elif not entry.name.lower().endswith(IMAGE_ENDINGS):
                self.faults.append(Fault(name, "not an image by its ending"))
            elif not entry.is_file():
                self.faults.append(Fault(name, "not a regular file (a broken link?)"))
            else:
                files.append(name)


class Unnamed:
    """A labelled set whose people are forgotten: every label is -1, `people` is empty."""

    def __init__(self, faces: Faces) -> None:
        self.faces = faces
        self.people: list[str] = []
        self.faults = faces.faults
        self.labels: npt.NDArray[np.int64] = np.full(len(faces), UNKNOWN, np.int64)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.faces)

    def name(self, i: int) -> str:
        """What the set calls image `i`."""
        return self.faces.name(i)

    def encoded(self, i: int) -> bytes:
        """The encoded bytes of image `i`."""
        return self.faces.encoded(i)

    def fingerprint(self) -> str:
        """Content identity (sha256, hexadecimal); see `fingerprint_of`. Computed once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self)
        return self._fingerprint


def open_unlabelled(path: Path, only: Sequence[str] | None = None) -> Faces:
    """Open images without their identities: a folder of any depth, a `.rec`, or its folder.

    `only` restricts a folder to the sub-folders of these people. Raises DataError if `path` is none
    of these, or holds nothing usable.
    """
    if path.is_dir() and not (path / "train.rec").is_file() and only is None:
        return ImageTree(path)
    return Unnamed(open_faces(path, only))
