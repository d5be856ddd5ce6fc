"""Photographs into a gallery, one transaction each: a stop loses at most the one under way."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pocketface.data.fault import Fault
from pocketface.data.folder import FolderFaces
from pocketface.data.jpeg import encode_png
from pocketface.detect.photo import read_file
from pocketface.detect.recognise import Recogniser, sha256_of_bytes
from pocketface.errors import DataError, StoppedError
from pocketface.gallery.gallery import Gallery, Template, person_name


class Photo(NamedTuple):
    """A photograph of a person; `shown` is what the gallery calls it."""

    person: str
    path: Path
    shown: str


@dataclass
class Enrolled:
    """What became of photographs: how many are new, how many were there before, which were refused.

    `refused` names each with its reason.
    """

    added: int = 0
    known: int = 0
    refused: list[Fault] = field(default_factory=list)


def photos_below(folder: Path) -> tuple[list[Photo], list[Fault]]:
    """The photographs of `folder/<person>/`, by name, and what is there beside them.

    Raises DataError as `FolderFaces`, and GalleryError for a folder whose name is no person's.
    """
    faces = FolderFaces(folder)
    photos = []
    for i, label in enumerate(faces.labels.tolist()):
        name = faces.name(i)
        photos.append(Photo(person_name(faces.people[label]), folder / name, name))
    return photos, faces.faults


def enrol_photos(
    gallery: Gallery,
    recogniser: Recogniser,
    photos: Sequence[Photo],
    *,
    largest: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Enrolled:
    """Enrol each photograph that shows one good face; of several the `largest`, if that is asked.

    A photograph that its person has already is passed over, unread beyond its sha256, so that a
    stopped run goes on. A refused one is reported, and stops nothing. Raises StoppedError on
    Ctrl-C, GalleryError as `Gallery.enrol`, and as `Recogniser.see` where the detector is missing.
    """
    done = Enrolled()
    if progress is not None:
        progress(0, len(photos))
    try:
        for number, photo in enumerate(photos, 1):
            _enrol(gallery, recogniser, photo, done, largest=largest)
            if progress is not None:
                progress(number, len(photos))
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; {done.added + done.known:,} of {len(photos):,} photographs are enrolled. "
            "Run the same command to go on."
        ) from None
    return done


def _enrol(
    gallery: Gallery, recogniser: Recogniser, photo: Photo, done: Enrolled, *, largest: bool
) -> None:
    try:
        data = read_file(photo.path)
        sha256 = sha256_of_bytes(data)
        if gallery.has(photo.person, sha256):
            done.known += 1
            return
        face = recogniser.see(data, str(photo.path)).one_face(largest=largest)
    except DataError as error:
        done.refused.append(Fault(photo.shown, _without(str(error), photo.path)))
        return
    crop = encode_png(face.crop) if gallery.keeps_crops else None
    embedding = recogniser.embed([face])[0]
    done.added += gallery.enrol(photo.person, [Template(embedding, photo.shown, sha256, crop)])


def _without(reason: str, path: Path) -> str:
    """The reason without the photograph's name, which stands beside it."""
    return reason.removeprefix(f"{os.fspath(path)}: ")
