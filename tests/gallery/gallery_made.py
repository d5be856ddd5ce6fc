"""Galleries of random people, for the tests of this room."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.gallery import Maker, SqliteGallery, Template
from pocketface.preprocessing import Preprocessing

SIZE = 16

MAKER = Maker("a" * 64, SIZE, True, "small.onnx", Preprocessing())
OTHER = Maker("b" * 64, SIZE, True, "other.onnx", Preprocessing())


def template(
    vector: npt.NDArray[np.floating], photo: str = "a.jpg", crop: bytes | None = None
) -> Template:
    """A template whose sha256 is its photograph's name's."""
    return Template(vector, photo, hashlib.sha256(photo.encode()).hexdigest(), crop)


def filled(
    path: Path, vectors: npt.NDArray[np.floating], people: list[str], **options: object
) -> SqliteGallery:
    """A gallery in which row r of `vectors` is a template of `people[r]`."""
    gallery = SqliteGallery(path, MAKER, **options)  # type: ignore[arg-type]
    gallery.enrol_many(
        (name, [template(vector, f"{row}.jpg")])
        for row, (name, vector) in enumerate(zip(people, vectors, strict=True))
    )
    return gallery
