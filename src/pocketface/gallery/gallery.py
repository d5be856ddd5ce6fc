"""What a gallery is, wherever it is kept: people, their templates, and who resembles a face most.

A person's similarity to a face is the highest of their templates' (our choice): one good
photograph is enough, and a poor one beside it does no harm. People of one similarity are ordered by
their names, so that an answer never depends on the order of enrolment or on the machine.

Shapes: Q queries, D numbers of an embedding.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pocketface.embedding.embedder import Embedder
from pocketface.errors import GalleryError
from pocketface.preprocessing import Preprocessing

Floats = npt.NDArray[np.float64]

LONGEST_NAME = 200
"""Characters of a person's name."""


@dataclass(frozen=True)
class Maker:
    """What makes the embeddings of a gallery; those of two makers are never compared.

    `fingerprint` is the embedder's, which stands for weights and preprocessing; `flip` whether
    embeddings are summed over image and mirror. `name` and `preprocessing` are for people to read.
    """

    fingerprint: str
    embedding_size: int
    flip: bool
    name: str
    preprocessing: Preprocessing

    @classmethod
    def of(cls, embedder: Embedder, name: str, *, flip: bool) -> "Maker":
        """The maker that `embedder`, loaded from the file `name`, is."""
        return cls(
            embedder.fingerprint, embedder.embedding_size, flip, name, embedder.preprocessing
        )

    def makes_the_same(self, other: "Maker") -> bool:
        """Whether embeddings of the two may be compared; the names count for nothing."""
        return (self.fingerprint, self.embedding_size, self.flip) == (
            other.fingerprint,
            other.embedding_size,
            other.flip,
        )

    def describe(self) -> str:
        """In words, for messages."""
        mirror = "with" if self.flip else "without"
        return (
            f"{self.name} ({self.fingerprint[:12]}, {self.embedding_size} numbers, {mirror} mirror)"
        )


@dataclass(frozen=True, eq=False)
class Template:
    """One face of a person, to be enrolled.

    `embedding` is floating (D,), of any length but zero; `photo` the name of the photograph;
    `sha256`, hexadecimal, tells the face apart: a person's second template of the same is passed
    over. `crop` is the aligned face as PNG, for galleries that keep crops.
    """

    embedding: npt.NDArray[np.floating]
    photo: str
    sha256: str
    crop: bytes | None = None


@dataclass(frozen=True)
class Match:
    """A person who resembles a query: cosine `similarity`, -1 to 1, of the template of `photo`."""

    person: str
    similarity: float
    photo: str


@dataclass(frozen=True)
class Person:
    """A person of the gallery and how many templates stand for them."""

    name: str
    templates: int


@dataclass(frozen=True, eq=False)
class Entry:
    """A template as it is kept: `vector` is float32 (D,) of unit length."""

    person: str
    photo: str
    sha256: str
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stats:
    """How large a gallery is. `bytes` is what it takes on this machine's disk, 0 if elsewhere."""

    people: int
    templates: int
    crops: int
    bytes: int


class Gallery(Protocol):
    """People who can be told apart; every kind of gallery gives the same answers.

    Use one object from as many threads as you like. Each method may raise GalleryError: where the
    gallery cannot be read or written, or was given another maker meanwhile by another process.
    """

    @property
    def maker(self) -> Maker:
        """What the embeddings are made by."""
        ...

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the maker's embedder."""
        ...

    @property
    def keeps_crops(self) -> bool:
        """Whether `enrol` keeps the templates' crops."""
        ...

    def enrol(self, person: str, templates: Sequence[Template]) -> int:
        """Add templates to a person, who is made where there is none; gives how many were new.

        All of them or none: when it returns they are safe. Raises GalleryError for a name as
        `person_name`, for no template, and for embeddings of another size than D or of no
        direction.
        """
        ...

    def has(self, person: str, sha256: str) -> bool:
        """Whether the person has a template of this sha256."""
        ...

    def search(self, queries: npt.NDArray[np.floating], k: int = 1) -> list[list[Match]]:
        """The `k` most similar people for each of the queries (Q, D), the most similar first.

        Fewer where the gallery has fewer people. Exact, unless the kind of gallery says otherwise.
        Raises GalleryError for another shape, or a query of no direction.
        """
        ...

    def people(self) -> list[Person]:
        """Everybody, in the order of names."""
        ...

    def remove(self, person: str) -> int:
        """Remove a person with all templates and crops; gives how many templates.

        Raises GalleryError, with the nearest name, if there is no such person.
        """
        ...

    def export(self) -> Iterator[Entry]:
        """Every template, by person and in the order of enrolment."""
        ...

    def stats(self) -> Stats:
        """How large it is."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def person_name(text: str) -> str:
    """A name as galleries keep it: composed (Unicode NFC), without spaces around it.

    Raises GalleryError for one that is empty, longer than `LONGEST_NAME`, or holds a character
    that cannot be printed.
    """
    try:
        name = unicodedata.normalize("NFC", text).strip()
        name.encode()
    except UnicodeEncodeError as error:
        raise GalleryError(
            f"{text!a} is no Unicode text, and cannot be a person's name."
        ) from error
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise GalleryError(
            f"{text[:60]!r} cannot be a person's name: it needs 1 to {LONGEST_NAME} characters, "
            "all of them printable."
        )
    return name


def check_maker(found: Maker, wanted: Maker, where: str) -> None:
    """Raise GalleryError unless embeddings of `found`, at `where`, and `wanted` are comparable."""
    if found.makes_the_same(wanted):
        return
    if found.fingerprint == wanted.fingerprint and found.flip != wanted.flip:
        mend = f"Use {'--flip' if found.flip else '--no-flip'}, as it was made with."
    else:
        mend = (
            "Embeddings of two networks cannot be compared: use the gallery's own weights, or "
            "bring it over with: pocketface gallery re-enroll --model NEW."
        )
    raise GalleryError(
        f"{where} was made with {found.describe()}, not with {wanted.describe()}. {mend}"
    )
