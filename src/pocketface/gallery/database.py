"""A gallery's SQLite file: its tables, how it is opened, and what can be wrong with it.

One file in WAL mode: readers go on while one process writes, and a transaction is on the disk,
whole, when it ends, or it never was (`synchronous` is FULL). Deleted rows are overwritten
(`secure_delete`), since they are people's faces. Numbers of templates are never given twice.
"""

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Maker
from pocketface.preprocessing import Preprocessing

APPLICATION_ID = 0x506B4661
"""What marks an SQLite file as a gallery of ours ("PkFa")."""

FORMAT = 1

_WAIT_SECONDS = 60.0
"""How long one writer waits for another."""

_SCHEMA = """
CREATE TABLE gallery (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,           -- changes when templates get other numbers or another maker
    generation INTEGER NOT NULL,   -- goes up with every change
    keeps_crops INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    embedding_size INTEGER NOT NULL,
    flip INTEGER NOT NULL,
    model TEXT NOT NULL,
    preprocessing TEXT NOT NULL
);
CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE template (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,
    sha256 BLOB NOT NULL,
    photo TEXT NOT NULL,
    vector BLOB NOT NULL           -- float32, little-endian, of unit length
);
CREATE UNIQUE INDEX template_of ON template(person, sha256);
CREATE TABLE crop (
    template INTEGER PRIMARY KEY REFERENCES template(id) ON DELETE CASCADE,
    png BLOB NOT NULL
);
CREATE TABLE removal (id INTEGER PRIMARY KEY AUTOINCREMENT, template INTEGER NOT NULL);
CREATE TABLE anew (                -- embeddings of another maker, until all are there
    template INTEGER PRIMARY KEY REFERENCES template(id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    vector BLOB NOT NULL
);
"""


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the gallery `path` into GalleryErrors."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter from a damaged file
        raise GalleryError(_words(path, error)) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made where it is missing, for use by several threads, one at a time.

    Raises GalleryError where it cannot be opened or is something else than a gallery.
    """
    with told(path):
        if path.is_dir():
            raise GalleryError(f"{path} is a folder, where a gallery's file was expected.")
        connection = sqlite3.connect(
            path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if mark != APPLICATION_ID and not (empty and mark == 0):
                raise GalleryError(
                    f"{path} is an SQLite file of another program. Name a gallery, or a new file."
                )
            if mark == APPLICATION_ID and version != FORMAT:
                raise GalleryError(
                    f"{path} is a gallery of format {version}; this PocketFace knows format "
                    f"{FORMAT}. Use the PocketFace that wrote it."
                )
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes: all that the block does, or nothing where it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk ends a transaction by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def create(connection: sqlite3.Connection, maker: Maker, *, keeps_crops: bool) -> None:
    """Make the tables of an empty file, unless another process was quicker."""
    connection.execute("PRAGMA journal_mode = WAL")
    with writing(connection):
        if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
            return
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO gallery VALUES (1, ?, 0, ?, ?, ?, ?, ?, ?)",
            (new_epoch(), int(keeps_crops), *maker_row(maker)),
        )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def is_gallery(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there."""
    return bool(connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID)


def vector_from(content: object, size: int) -> npt.NDArray[np.float32]:
    """A stored vector, float32 (size,). Raises sqlite3.DatabaseError where it is none."""
    if not isinstance(content, bytes) or len(content) != 4 * size:
        raise sqlite3.DatabaseError("a template is not a vector of the gallery's size")
    return np.frombuffer(content, "<f4")


def new_epoch() -> str:
    """32 hexadecimal digits that were never used before."""
    return uuid.uuid4().hex


def maker_row(maker: Maker) -> tuple[str, int, int, str, str]:
    """The maker as the columns fingerprint, embedding_size, flip, model, preprocessing."""
    return (
        maker.fingerprint,
        maker.embedding_size,
        int(maker.flip),
        maker.name,
        maker.preprocessing.model_dump_json(),
    )


def read_maker(connection: sqlite3.Connection, path: Path) -> Maker:
    """The maker of the gallery. Raises GalleryError where its row is not what it should be."""
    row = connection.execute(
        "SELECT fingerprint, embedding_size, flip, model, preprocessing FROM gallery"
    ).fetchone()
    try:
        fingerprint, size, flip, model, preprocessing = row
        found = Preprocessing.model_validate(json.loads(preprocessing))
        return Maker(str(fingerprint), int(size), bool(flip), str(model), found)
    except (TypeError, ValueError, ValidationError) as error:
        raise GalleryError(
            f"{path} does not say which network made it: it is damaged. Take a copy of earlier, or "
            "enrol the people again into a new file."
        ) from error


def _words(path: Path, error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is no gallery (not an SQLite file). Name a gallery, or a new file."
    if code == sqlite3.SQLITE_CORRUPT or isinstance(error, UnicodeDecodeError):
        return (
            f"{path} is damaged ({error}). See what is wrong with: pocketface gallery check; take "
            "a copy of earlier, or enrol the people again into a new file."
        )
    if code == sqlite3.SQLITE_FULL:
        return f"{path} cannot grow: the disk is full. Nothing was changed; make room and repeat."
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"{path} is being written to by another process since more than {_WAIT_SECONDS:.0f} "
            "seconds. Wait for it, or end it."
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return (
            f"{path} cannot be opened to be read and written ({error}). Check that its folder is "
            "there and may be written to: SQLite keeps files beside it."
        )
    return f"{path}: {error}. Check the disk, then run: pocketface gallery check"
