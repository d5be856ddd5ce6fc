"""The gallery that is there by default: one SQLite file, searched exactly in memory."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery import database
from pocketface.gallery.block import Block, Precision
from pocketface.gallery.database import told, vector_from, writing
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
from pocketface.gallery.people_table import (
    AT_ONCE,
    add_templates,
    digest,
    directions_of,
    marks,
    matches_of,
    nobody_words,
    number_of,
    vectors_of,
)
from pocketface.gallery.search import search
from pocketface.gallery.view import View, update

Ints = npt.NDArray[np.int64]

PRECISIONS: tuple[Precision, ...] = ("float32", "float16")


class SqliteGallery:
    """A `Gallery` in the file `path`, with its block of numbers beside it.

    Args:
        path: the file. It is made where it is missing, if `maker` is given.
        maker: what the caller's embeddings are made by; None takes the gallery as it is.
        keep_crops: whether a gallery that is made now keeps the templates' aligned faces.
        precision: of the block: float16 takes half the memory and is slower; the answers are the
            same, since what is told is computed from the database's float32.

    Raises GalleryError for a file that is missing without a `maker`, that is no gallery, damaged,
    or of another maker, which is named.
    """

    def __init__(
        self,
        path: Path,
        maker: Maker | None = None,
        *,
        keep_crops: bool = False,
        precision: Precision = "float32",
    ) -> None:
        if maker is None and not path.is_file():
            raise GalleryError(
                f"{path}: no such gallery. Check the name, or begin one with: pocketface enroll "
                f"NAME PHOTO... --gallery {path} --weights MODEL"
            )
        self.path = path
        self._lock = threading.RLock()
        self._view: View | None = None
        self._connection = database.connect(path)
        try:
            with told(path):
                if not database.is_gallery(self._connection):
                    if maker is None:
                        raise GalleryError(f"{path} is empty. Enrol people into it first.")
                    database.create(self._connection, maker, keeps_crops=keep_crops)
                self._maker = database.read_maker(self._connection, path)
                if maker is not None:
                    check_maker(self._maker, maker, str(path))
                epoch, keeps = self._connection.execute(
                    "SELECT epoch, keeps_crops FROM gallery"
                ).fetchone()
        except BaseException:
            self._connection.close()
            raise
        self._keeps_crops = bool(keeps)
        self._block = self._block_of(precision, str(epoch))

    @property
    def maker(self) -> Maker:
        """What the embeddings are made by."""
        return self._maker

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the maker's embedder."""
        return self._maker.fingerprint

    @property
    def keeps_crops(self) -> bool:
        """Whether `enrol` keeps the templates' crops."""
        return self._keeps_crops

    def enrol(self, person: str, templates: Sequence[Template]) -> int:
        """Add templates to a person, as `Gallery.enrol`, in one transaction."""
        return self.enrol_many([(person, templates)])

    def enrol_many(self, people: Iterable[tuple[str, Sequence[Template]]]) -> int:
        """Add templates of many people in one transaction; gives how many were new.

        Raises GalleryError as `enrol`; nobody is added then.
        """
        added = 0
        with self._lock, told(self.path), writing(self._connection):
            self._same_maker()
            for name, templates in people:
                if not templates:
                    raise GalleryError(f"{name!r}: no template is given. Give at least one face.")
                added += add_templates(
                    self._connection,
                    person_name(name),
                    templates,
                    self._maker.embedding_size,
                    keep_crops=self._keeps_crops,
                )
            if added:
                self._connection.execute("UPDATE gallery SET generation = generation + 1")
        return added

    def has(self, person: str, sha256: str) -> bool:
        """Whether the person has a template of this sha256."""
        with self._lock, told(self.path):
            found = self._connection.execute(
                "SELECT 1 FROM template JOIN person ON person.id = template.person "
                "WHERE name = ? AND sha256 = ?",
                (person_name(person), digest(sha256)),
            )
            return found.fetchone() is not None

    def search(self, queries: npt.NDArray[np.floating], k: int = 1) -> list[list[Match]]:
        """The `k` most similar people for each query, as `Gallery.search`; exact."""
        size = self._maker.embedding_size
        if queries.ndim != 2 or queries.shape[1] != size:
            raise GalleryError(
                f"queries must have the shape (Q, {size}), as the gallery's embeddings; got "
                f"{queries.shape}."
            )
        if k < 1:
            raise GalleryError(f"at least 1 person must be asked for, got {k}.")
        directions = directions_of(queries, "query")
        view = self._view_of_now()
        exact = self._exact_rows if self._block.precision == "float16" else None
        found = search(view.rows, view.person, directions, k, exact)
        with self._lock, told(self.path):
            return [matches_of(self._connection, each)[:k] for each in found]

    def people(self) -> list[Person]:
        """Everybody, in the order of names."""
        with self._lock, told(self.path):
            found = self._connection.execute(
                "SELECT name, count(template.id) FROM person LEFT JOIN template "
                "ON template.person = person.id GROUP BY person.id ORDER BY name"
            ).fetchall()
        return [Person(str(name), count) for name, count in found]

    def remove(self, person: str) -> int:
        """Remove a person, as `Gallery.remove`; their rows are overwritten in file and block."""
        name = person_name(person)
        with self._lock, told(self.path):
            with writing(self._connection):
                number = number_of(self._connection, name)
                if number is None:
                    raise GalleryError(nobody_words(self._connection, name, self.path))
                ids = [
                    row[0]
                    for row in self._connection.execute(
                        "SELECT id FROM template WHERE person = ?", (number,)
                    )
                ]
                self._connection.execute("DELETE FROM person WHERE id = ?", (number,))
                self._connection.executemany(
                    "INSERT INTO removal (template) VALUES (?)", [(each,) for each in ids]
                )
                self._connection.execute("UPDATE gallery SET generation = generation + 1")
            self._erase(ids)
        return len(ids)

    def export(self) -> Iterator[Entry]:
        """Every template, by person and in the order of enrolment."""
        with self._lock, told(self.path):
            found = self._connection.execute(
                "SELECT name, template.id FROM template JOIN person "
                "ON person.id = template.person ORDER BY name, template.id"
            ).fetchall()
        size = self._maker.embedding_size
        for start in range(0, len(found), AT_ONCE):
            part = found[start : start + AT_ONCE]
            with self._lock, told(self.path):
                rows = {
                    row[0]: row[1:]
                    for row in self._connection.execute(
                        "SELECT id, photo, sha256, vector FROM template WHERE id IN "
                        f"({marks(part)})",
                        [number for _, number in part],
                    )
                }
            for name, number in part:
                if number in rows:  # else it was removed meanwhile
                    photo, sha256, vector = rows[number]
                    yield Entry(name, photo, sha256.hex(), vector_from(vector, size))

    def stats(self) -> Stats:
        """How large it is."""
        with self._lock, told(self.path):
            people, templates, crops = (
                int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
                for table in ("person", "template", "crop")
            )
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        files += [self._block_of(precision, "").path for precision in PRECISIONS]
        size = sum(file.stat().st_size for file in files if file.is_file())
        return Stats(people, templates, crops, size)

    def close(self) -> None:
        """Close the file. The block's pages are let go of with the last search's results."""
        with self._lock:
            self._view = None
            self._connection.close()

    def __enter__(self) -> "SqliteGallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _block_of(self, precision: Precision, epoch: str) -> Block:
        path = self.path.with_name(f"{self.path.name}.{precision}")
        return Block(path, precision, self._maker.embedding_size, epoch)

    def _view_of_now(self) -> View:
        with self._lock, told(self.path):
            while True:
                self._same_maker()
                self._view = view = update(self._connection, self._block, self._view)
                if self._epoch() == self._block.epoch:
                    return view

    def _epoch(self) -> str:
        return str(self._connection.execute("SELECT epoch FROM gallery").fetchone()[0])

    def _same_maker(self) -> None:
        """Raise GalleryError if another process gave the gallery another maker or other numbers."""
        epoch = self._epoch()
        if epoch == self._block.epoch:
            return
        check_maker(database.read_maker(self._connection, self.path), self._maker, str(self.path))
        self._block = self._block_of(self._block.precision, epoch)
        self._view = None

    def _erase(self, ids: list[int]) -> None:
        """Overwrite removed people's numbers in the blocks, and empty the write-ahead log."""
        for precision in PRECISIONS:
            block = self._block_of(precision, self._block.epoch)
            if not block.path.exists():
                continue
            try:
                with block.locked():
                    block.erase(each - 1 for each in ids)
            except OSError as error:
                raise GalleryError(
                    f"{block.path} cannot be written ({error.strerror}), and still holds the "
                    "removed numbers. Delete that file: it is made again when it is needed."
                ) from error
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _exact_rows(self, rows: Ints) -> npt.NDArray[np.floating]:
        with self._lock, told(self.path):
            return vectors_of(self._connection, rows, self._maker.embedding_size)
