"""What a search sees of a gallery: the mapped block and whose row each is, brought up to date.

The database says what is there; the block is brought after it by whoever searches next. Where the
block cannot be written (a full disk, a folder of others) the rows are held in memory instead.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.gallery.block import Block, Rows
from pocketface.gallery.database import vector_from

Ints = npt.NDArray[np.int64]

_SPOTS = 16
"""Rows of a block that is opened that are compared with the database."""


class View(NamedTuple):
    """Templates by row: `rows` (N, D), `person` int64 (N,) with 0 for nobody's.

    `generation` and `removal` are the database's counters at that time.
    """

    rows: npt.NDArray[np.floating]
    person: Ints
    generation: int
    removal: int


def update(connection: sqlite3.Connection, block: Block, before: View | None) -> View:
    """The view of now, made from the one `before`; raises sqlite3.Error.

    The caller sees to it that nobody else uses the connection meanwhile.
    """
    generation = _generation(connection)
    if before is not None and before.generation == generation:
        return before
    # One state of the database for all that follows.
    connection.execute("BEGIN")
    try:
        generation = _generation(connection)
        count = _last(connection, "template")
        removal = _last(connection, "removal")
        person = np.zeros(count, np.int64)
        if before is None:
            # Without a condition on the number SQLite reads the small index alone.
            _fill(person, connection.execute("SELECT id, person FROM template"))
        else:
            old = len(before.person)
            person[:old] = before.person
            new = connection.execute("SELECT id, person FROM template WHERE id > ?", (old,))
            _fill(person, new)
            gone = connection.execute(
                "SELECT template FROM removal WHERE id > ?", (before.removal,)
            )
            person[[row[0] - 1 for row in gone if 0 < row[0] <= count]] = 0
    finally:
        connection.execute("COMMIT")
    rows = _bring_up(connection, block, person, fresh=before is None)
    return View(rows, person, generation, removal)


def vectors(connection: sqlite3.Connection, size: int, after: int, upto: int) -> Rows:
    """Rows and vectors (size,) of the templates with numbers in (after, upto], ascending."""
    found = connection.execute(
        "SELECT id, vector FROM template WHERE id > ? AND id <= ? ORDER BY id", (after, upto)
    )
    for number, content in found:
        yield number - 1, vector_from(content, size)


def _bring_up(
    connection: sqlite3.Connection, block: Block, person: Ints, *, fresh: bool
) -> npt.NDArray[np.floating]:
    """The block's rows for `person`, written where they are missing."""
    count = len(person)
    try:
        if block.rows() < count or fresh:
            with block.locked():
                # Asked anew: another process may be ahead of what was read above.
                last = max(_last(connection, "template"), count)
                written = block.rows()
                if written > last or (fresh and not _agrees(connection, block, person, written)):
                    written = 0
                if not written:
                    block.rebuild(vectors(connection, block.size, 0, last), last)
                elif written < last:
                    block.extend(vectors(connection, block.size, written, last), last)
        return block.open(count)
    except OSError:
        held = np.zeros((count, block.size), block.precision)
        for row, vector in vectors(connection, block.size, 0, count):
            held[row] = vector
        return held


def _agrees(connection: sqlite3.Connection, block: Block, person: Ints, written: int) -> bool:
    """Whether the newest row and some others are the database's: a copy of earlier may be back."""
    live = np.flatnonzero(person[:written])
    if not len(live):
        return not written
    rows = block.open(min(written, len(person)))
    for row in live[np.unique(np.linspace(0, len(live) - 1, _SPOTS).astype(np.int64))].tolist():
        for _, vector in vectors(connection, block.size, row, row + 1):
            if not np.array_equal(rows[row], vector.astype(block.precision)):
                return False
    return True


def _fill(person: Ints, found: "Iterator[tuple[int, int]] | sqlite3.Cursor") -> None:
    try:
        pairs = np.fromiter((value for pair in found for value in pair), np.int64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError) as error:  # SQLite keeps any type anywhere
        raise sqlite3.DatabaseError("a template's person is no number") from error
    if ((pairs[:, 0] < 1) | (pairs[:, 0] > len(person)) | (pairs[:, 1] < 1)).any():
        raise sqlite3.DatabaseError("a template's number or person's is out of range")
    person[pairs[:, 0] - 1] = pairs[:, 1]


def _generation(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT generation FROM gallery").fetchone()[0])


def _last(connection: sqlite3.Connection, table: str) -> int:
    """The highest number that was ever given in `table`."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])
