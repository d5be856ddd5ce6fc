"""What is asked of a gallery's tables: who has which number, templates added, names of rows.

The functions use an open connection and raise sqlite3.Error; row r is template r + 1.
"""

import sqlite3
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.embedding.unit import unit
from pocketface.errors import GalleryError, WeightsError
from pocketface.gallery.database import vector_from
from pocketface.gallery.gallery import Match, Template
from pocketface.gallery.search import Found

AT_ONCE = 500
"""Rows that one question to SQLite names."""


def add_templates(
    connection: sqlite3.Connection,
    name: str,
    templates: Sequence[Template],
    size: int,
    *,
    keep_crops: bool,
) -> int:
    """Add templates of embeddings (size,) to a person; gives how many were new.

    Raises GalleryError for an embedding of another shape or of no direction.
    """
    for template in templates:
        if template.embedding.shape != (size,):
            raise GalleryError(
                f"{name}, {template.photo}: an embedding of this gallery has {size} numbers, "
                f"got the shape {template.embedding.shape}."
            )
    wide = np.array([template.embedding for template in templates], np.float64)
    vectors = directions_of(wide.reshape(-1, size), name).astype("<f4")
    connection.execute("INSERT OR IGNORE INTO person (name) VALUES (?)", (name,))
    number = number_of(connection, name)
    added = 0
    for template, vector in zip(templates, vectors, strict=True):
        cursor = connection.execute(
            "INSERT INTO template (person, sha256, photo, vector) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (number, digest(template.sha256), _text(template.photo), vector.tobytes()),
        )
        if not cursor.rowcount:
            continue
        added += 1
        if keep_crops and template.crop is not None:
            connection.execute("INSERT INTO crop VALUES (?, ?)", (cursor.lastrowid, template.crop))
    return added


def number_of(connection: sqlite3.Connection, name: str) -> int | None:
    """The number of a person; None if nobody has that name."""
    row = connection.execute("SELECT id FROM person WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def nobody_words(connection: sqlite3.Connection, name: str, path: Path) -> str:
    """That nobody has that name, and who may be meant."""
    names = [row[0] for row in connection.execute("SELECT name FROM person")]
    near = get_close_matches(name, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{path}: nobody is called {name!r}.{hint} See: pocketface gallery list --gallery {path}"


def vectors_of(
    connection: sqlite3.Connection, rows: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float32]:
    """The vectors (n, size) of these rows (n,); zeros for those that are there no more."""
    vectors = np.zeros((len(rows), size), np.float32)
    place = {int(row) + 1: i for i, row in enumerate(rows)}
    ids = list(place)
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        for number, vector in connection.execute(
            f"SELECT id, vector FROM template WHERE id IN ({marks(part)})", part
        ):
            vectors[place[number]] = vector_from(vector, size)
    return vectors


def matches_of(connection: sqlite3.Connection, found: Found) -> list[Match]:
    """Found people with their names, the most similar first; who was removed since is left out."""
    who: dict[int, tuple[str, str]] = {}
    ids = [int(row) + 1 for row in found.row]
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        for number, name, photo in connection.execute(
            "SELECT template.id, name, photo FROM template JOIN person "
            f"ON person.id = template.person WHERE template.id IN ({marks(part)})",
            part,
        ):
            who[number] = (name, photo)
    matches = [
        Match(who[number][0], min(max(float(similarity), -1.0), 1.0), who[number][1])
        for number, similarity in zip(ids, found.similarity, strict=True)
        if number in who
    ]
    return sorted(matches, key=lambda match: (-match.similarity, match.person))


def directions_of(embeddings: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.float64]:
    """Unit vectors of (N, D). Raises GalleryError, with `name`, where a row has no direction."""
    try:
        return unit(embeddings)
    except WeightsError as error:
        raise GalleryError(f"{name}: {error}") from error


def digest(sha256: str) -> bytes:
    """The bytes of a hexadecimal sha256. Raises GalleryError for another text."""
    try:
        found = bytes.fromhex(sha256)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise GalleryError(f"{sha256!r} is no sha256: 64 hexadecimal digits are expected.")
    return found


def marks(values: Sequence[object]) -> str:
    """As many question marks as values."""
    return ",".join("?" * len(values))


def _text(photo: str) -> str:
    """A file's name as text, though it may be no Unicode at all."""
    return photo.encode("utf-8", "backslashreplace").decode()
