"""A folder with one sub-folder per person: the simplest data set there is."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketface.data.fault import Fault
from pocketface.data.image_files import ImageFiles
from pocketface.errors import DataError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".webp", ".tif", ".tiff")


class FolderFaces(ImageFiles):
    """The faces of `root/<person>/<image>`, people and images in the order of their names.

    `only` restricts the set to these people (names of sub-folders). Hidden entries are passed
    over. A sub-folder without an image, and an entry that is no readable image file, becomes a
    named fault; a person with a single image stays. Whether an image decodes is seen when it is
    decoded. Raises DataError if nothing remains, or if a name in `only` is not there.

    `labels` is int64 (N,), 0..people-1; `people` holds the names of the folders.
    """

    def __init__(self, root: Path, only: Sequence[str] | None = None) -> None:
        super().__init__(root)
        self.faults = []
        self.people = []
        files: list[bytes] = []
        labels: list[int] = []
        for person in _person_folders(root, only, self.faults):
            images = _images_of(root, person, self.faults)
            files += images
            labels += [len(self.people)] * len(images)
            if images:
                self.people.append(person)
        if not files:
            raise DataError(_why_empty(root, self.faults))
        self.labels = np.array(labels, dtype=np.int64)
        # One array instead of millions of strings: worker processes share its pages.
        self._files = np.array(files, dtype=np.bytes_)

    def name(self, i: int) -> str:
        """`<person>/<file>` of image `i`."""
        return f"{self.people[self.labels[i]]}/{os.fsdecode(bytes(self._files[i]))}"


def _person_folders(root: Path, only: Sequence[str] | None, faults: list[Fault]) -> list[str]:
    people = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    people.append(entry.name)
                elif entry.name.lower().endswith(IMAGE_ENDINGS):
                    faults.append(Fault(entry.name, "an image outside any person's folder"))
    except OSError as error:
        raise DataError(
            f"{root}: cannot list the folder: {error.strerror}. "
            "Give a folder that holds one folder per person."
        ) from error
    if only is not None:
        missing = sorted(set(only) - set(people))
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{root}: {len(missing)} of the {len(set(only))} people asked for have no folder "
                f"there: {shown}. Correct the names, or give the folder they belong to."
            )
        people = list(set(only))
    faults.sort()
    return sorted(people)


def _images_of(root: Path, person: str, faults: list[Fault]) -> list[bytes]:
    images = []
    here: list[Fault] = []
    try:
        with os.scandir(root / person) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = f"{person}/{entry.name}"
                if entry.is_dir():
                    here.append(Fault(name, "a folder inside a person's folder"))
                elif not entry.name.lower().endswith(IMAGE_ENDINGS):
                    here.append(Fault(name, "not an image by its ending"))
                elif not entry.is_file():
                    here.append(Fault(name, "not a regular file (a broken link?)"))
                else:
                    images.append(entry.name)
    except OSError as error:
        faults.append(Fault(person, f"cannot list the folder: {error.strerror}"))
        return []
    if not images:
        faults.append(Fault(person, "a person without an image"))
    faults += sorted(here)
    # Sorted as text, so that the order is that of `people`; kept as the file system's bytes.
    return [os.fsencode(image) for image in sorted(images)]


def _why_empty(root: Path, faults: list[Fault]) -> str:
    wanted = f"Give a folder that holds one folder per person, with images ({IMAGE_ENDINGS[0]}, "
    wanted += f"{', '.join(IMAGE_ENDINGS[1:])}) in each."
    if any(fault.reason == "an image outside any person's folder" for fault in faults):
        return f"{root}: the images lie directly in the folder, with nobody's name. {wanted}"
    return f"{root}: no image of any person is there. {wanted}"
