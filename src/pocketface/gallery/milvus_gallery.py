"""A gallery in Milvus, for more people than one machine holds: the interface of every other."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery import milvus_collection as collection
from pocketface.gallery.gallery import (
    Entry,
    Maker,
    Match,
    Person,
    Stats,
    Template,
    check_maker,
    person_name,
)
from pocketface.gallery.milvus_address import MilvusAddress
from pocketface.gallery.milvus_collection import INDICES, Index, IndexKind, key_of
from pocketface.gallery.milvus_connection import ANSWER_SECONDS, Connection
from pocketface.gallery.milvus_rows import Row, row_of_entry, rows_of_templates
from pocketface.gallery.milvus_search import best_people
from pocketface.gallery.milvus_table import PAGE, MilvusTable
from pocketface.gallery.people_table import digest, directions_of

_MOST_NAMES = 100_000
"""Templates up to which a misspelt name is answered with the nearest."""


class MilvusGallery:
    """A `Gallery` in a collection of Milvus, which is made if `maker` is given.

    Args:
        address: from `parse_address`.
        maker: what the caller's embeddings are made by; None takes the gallery as it is.
        index: how a collection that is made now is searched; None is FLAT, which is exact.

    It keeps no crops. `enrol` is one request, which Milvus writes down before it answers; Milvus
    knows no transactions, so where a cluster fails in the middle of it some of the templates may be
    there: enrolling the same again adds the others. Removed people are never found again, but their
    numbers stay in Milvus's files until it compacts them.

    Raises GalleryError where Milvus does not answer, for a collection that is missing without a
    `maker`, that is not ours, of another maker, or of another index; MissingExtraError without
    the extra `milvus`.
    """

    keeps_crops = False

    def __init__(
        self, address: MilvusAddress, maker: Maker | None = None, *, index: IndexKind | None = None
    ) -> None:
        self.address = address
        self._last_number = 0
        self._connection = Connection(address)
        self._client = self._connection.client
        self._name = address.collection
        self._clock = threading.Lock()
        try:
            with self._connection.told():
                if not self._client.has_collection(self._name, timeout=ANSWER_SECONDS):
                    if maker is None:
                        raise GalleryError(
                            f"{address.text} has no collection {self._name}: no such gallery. "
                            "Check the name, or begin one with: pocketface enroll NAME PHOTO... "
                            f"--gallery '{address.text}' --weights MODEL"
                        )
                    collection.create(self._connection, maker, INDICES[index or "FLAT"])
                self._maker = collection.read_maker(self._client, address)
                if maker is not None:
                    check_maker(self._maker, maker, address.text)
                self._index = collection.read_index(self._client, self._name, self._maker)
                if index not in (None, self._index.kind):
                    raise GalleryError(
                        f"{address.text} was made with the index {self._index.kind}, not {index}. "
                        "Leave the option out, or copy the gallery into another collection."
                    )
                collection.load(self._client, self._name)
        except BaseException:
            self._connection.close()
            raise
        self._vectors = collection.vector_field(self._maker)
        self._table = MilvusTable(self._client, self._name, self._vectors, self._index)

    @property
    def maker(self) -> Maker:
        """What the embeddings are made by."""
        return self._maker

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the maker's embedder."""
        return self._maker.fingerprint

    @property
    def index(self) -> Index:
        """How Milvus finds the most similar vectors, and whether that is exact."""
        return self._index

    def enrol(self, person: str, templates: Sequence[Template]) -> int:
        """Add templates to a person, as `Gallery.enrol`, in one request."""
        rows = rows_of_templates(person, templates, self._maker)
        return self._add(rows)

    def enrol_many(self, people: Iterable[tuple[str, Sequence[Template]]]) -> int:
        """Add templates of many people, a thousand at a time; gives how many were new.

        Raises GalleryError as `enrol`; those of earlier thousands are there then.
        """
        return self._add_all(
            row
            for person, templates in people
            for row in rows_of_templates(person, templates, self._maker)
        )

    def add(self, entries: Iterable[Entry]) -> int:
        """Add templates of another gallery of this maker as they are, to the last bit.

        Gives how many were new. Raises GalleryError for vectors that are not of unit length.
        """
        return self._add_all(row_of_entry(entry, self._maker) for entry in entries)

    def has(self, person: str, sha256: str) -> bool:
        """Whether the person has a template of this sha256."""
        key = key_of(person_name(person), digest(sha256).hex())
        with self._asked():
            return bool(self._table.known([key]))

    def search(self, queries: npt.NDArray[np.floating], k: int = 1) -> list[list[Match]]:
        """The `k` most similar people for each query, as `Gallery.search`.

        Exact where `index` is; the similarities always are.
        """
        size = self._maker.embedding_size
        if queries.ndim != 2 or queries.shape[1] != size:
            raise GalleryError(
                f"queries must have the shape (Q, {size}), as the gallery's embeddings; got "
                f"{queries.shape}."
            )
        if k < 1:
            raise GalleryError(f"at least 1 person must be asked for, got {k}.")
        directions = directions_of(queries, "query")
        with self._asked():
            return best_people(self._table.most_similar, directions, k)

    def people(self) -> list[Person]:
        """Everybody, in the order of names. Every row is read: minutes for millions."""
        count: dict[str, int] = {}
        with self._asked():
            for row in self._table.rows("", ["person"]):
                count[row["person"]] = count.get(row["person"], 0) + 1
        return [Person(name, count[name]) for name in sorted(count)]

    def remove(self, person: str) -> int:
        """Remove a person, as `Gallery.remove`."""
        name = person_name(person)
        with self._asked(), self._connection.writing:
            keys = [row["id"] for row in self._table.rows(collection.rows_of(name), ["id"])]
            if not keys:
                raise GalleryError(self._nobody_words(name))
            self._table.delete(keys)
        return len(keys)

    def export(self) -> Iterator[Entry]:
        """Every template, by person and in the order of enrolment."""
        fields = ["person", "photo", "enrolled", self._vectors]
        with self._asked():
            for person, rows in groupby(
                self._table.rows("", fields), lambda row: str(row["person"])
            ):
                for row in sorted(rows, key=lambda row: (row["enrolled"], row["id"])):
                    vector = np.asarray(row[self._vectors], np.float32)
                    yield Entry(person, row["photo"], collection.sha256_of(row["id"]), vector)

    def stats(self) -> Stats:
        """How large it is; the people are counted row by row."""
        people = len(self.people())
        folder = self.address.folder
        size = 0
        if folder is not None:
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        with self._asked():
            return Stats(people, self._table.count(), 0, size)

    def close(self) -> None:
        """Close the connection; Milvus Lite stops with the last gallery on its folder."""
        self._connection.close()

    def __enter__(self) -> "MilvusGallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Tell Milvus's errors; first of all, that the collection was made anew by another."""
        try:
            with self._connection.told():
                yield
        except GalleryError as error:
            if error.__cause__ is not None:  # Milvus's
                with self._connection.told():
                    found = collection.read_maker(self._client, self.address)
                check_maker(found, self._maker, self.address.text)
            raise

    def _add_all(self, rows: Iterable[Row]) -> int:
        added, waiting = 0, []
        for row in rows:
            waiting.append(row)
            if len(waiting) == PAGE:
                added += self._add(waiting)
                waiting = []
        added += self._add(waiting) if waiting else 0
        if added >= PAGE:
            with self._asked():
                self._table.settle()
        return added

    def _add(self, rows: Sequence[Row]) -> int:
        """Write the rows that are not there; gives how many these are."""
        with self._asked(), self._connection.writing:
            by_key: dict[str, Row] = {}
            for row in rows:
                by_key.setdefault(key_of(row[0], row[2]), row)
            known = self._table.known(list(by_key))
            number = self._numbers(len(by_key))
            new: list[dict[str, Any]] = [
                {
                    "id": key,
                    "person": person,
                    "photo": photo,
                    "enrolled": number + place,
                    self._vectors: vector,
                }
                for place, (key, (person, photo, _, vector)) in enumerate(by_key.items())
                if key not in known
            ]
            if new:
                # Not insert: another process may add the same face at this moment.
                self._table.upsert(new)
        return len(new)

    def _numbers(self, count: int) -> int:
        """The first of so many ascending numbers, later ones than all before: nanoseconds."""
        with self._clock:
            first = max(time.time_ns(), self._last_number + 1)
            self._last_number = first + count
            return first

    def _nobody_words(self, name: str) -> str:
        where, near = self.address.text, []
        if self._table.count() <= _MOST_NAMES:
            near = get_close_matches(
                name, {row["person"] for row in self._table.rows("", ["person"])}, 1
            )
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return (
            f"{where}: nobody is called {name!r}.{hint} See: pocketface gallery list "
            f"--gallery '{where}'"
        )
