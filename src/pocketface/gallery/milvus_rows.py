"""Templates as a gallery in Milvus keeps them: checked, of unit length, with names that fit."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Entry, Maker, Template, person_name
from pocketface.gallery.milvus_collection import LONGEST_PHOTO
from pocketface.gallery.people_table import digest, directions_of

Row = tuple[str, str, str, npt.NDArray[np.float32]]
"""Person, photograph, sha256 in hexadecimal, and a vector float32 (D,) of unit length."""

_LENGTH_ERROR = 1e-4


def rows_of_templates(person: str, templates: Sequence[Template], maker: Maker) -> list[Row]:
    """The rows of a person's templates. Raises GalleryError as `Gallery.enrol`."""
    size = maker.embedding_size
    if not templates:
        raise GalleryError(f"{person!r}: no template is given. Give at least one face.")
    name = person_name(person)
    for template in templates:
        if template.embedding.shape != (size,):
            raise GalleryError(
                f"{name}, {template.photo}: an embedding of this gallery has {size} numbers, "
                f"got the shape {template.embedding.shape}."
            )
    wide = np.array([template.embedding for template in templates], np.float64)
    vectors = directions_of(wide.reshape(-1, size), name).astype(np.float32)
    return [
        (name, photo_text(template.photo), digest(template.sha256).hex(), vector)
        for template, vector in zip(templates, vectors, strict=True)
    ]


def row_of_entry(entry: Entry, maker: Maker) -> Row:
    """The row of another gallery's template, its vector as it is, to the last bit.

    Raises GalleryError for a vector of another size, or that is not of unit length.
    """
    size = maker.embedding_size
    length = float(np.linalg.norm(entry.vector.astype(np.float64)))
    if entry.vector.shape != (size,) or not abs(length - 1) < _LENGTH_ERROR:
        raise GalleryError(
            f"{entry.person}, {entry.photo}: a template of this gallery has {size} numbers and the "
            f"length 1, got the shape {entry.vector.shape} and the length {length:g}. Check the "
            "gallery that it comes from."
        )
    vector = np.asarray(entry.vector, np.float32)
    return person_name(entry.person), photo_text(entry.photo), digest(entry.sha256).hex(), vector


def photo_text(photo: str) -> str:
    """A file's name as text that Milvus takes, though it may be no Unicode at all, or very long."""
    content = photo.encode("utf-8", "backslashreplace")
    return content[-LONGEST_PHOTO:].decode("utf-8", "ignore")
