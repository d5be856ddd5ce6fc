"""What can be found wrong with a gallery, in words, and what to do about it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from pocketface.gallery import database
from pocketface.gallery.block import Block, read_header
from pocketface.gallery.database import told
from pocketface.gallery.sqlite_gallery import PRECISIONS, SqliteGallery
from pocketface.gallery.view import vectors

_NAMED = 5
_LENGTH_ERROR = 1e-4


def audit(path: Path) -> list[str]:
    """Everything that is wrong with the gallery at `path`, a sentence each; empty if nothing is.

    The file's own structure, every vector, people without a template, one photograph under two
    names, and the blocks beside the file row by row: a block that is not the database's is deleted,
    since a search makes it anew. Raises GalleryError where the file cannot even be opened.
    """
    SqliteGallery(path).close()
    found: list[str] = []
    with closing(database.connect(path)) as connection, told(path):
        size = database.read_maker(connection, path).embedding_size
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                found.append(f"the file is damaged: {line}. Take a copy of earlier.")
        for row in connection.execute("PRAGMA foreign_key_check"):
            found.append(f"a row of {row[0]} belongs to nobody. Take a copy of earlier.")
        for (name,) in connection.execute(
            "SELECT name FROM person WHERE id NOT IN (SELECT person FROM template)"
        ):
            found.append(f"{name} has no template. Enrol a photograph, or remove the person.")
        for (names,) in connection.execute(
            "SELECT group_concat(name, ', ') FROM template JOIN person "
            "ON person.id = template.person GROUP BY sha256 HAVING count(*) > 1"
        ):
            found.append(f"one photograph is enrolled under several names: {names}. Remove one.")
        last = int(connection.execute("SELECT ifnull(max(id), 0) FROM template").fetchone()[0])
        faulty = [
            row + 1
            for row, vector in vectors(connection, size, 0, last)
            if not abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < _LENGTH_ERROR
        ]
        if faulty:
            shown = ", ".join(map(str, faulty[:_NAMED])) + (", ..." if faulty[_NAMED:] else "")
            found.append(
                f"{len(faulty):,} vectors are not of unit length (templates {shown}): they were "
                "damaged. Take a copy of earlier, or enrol these people again."
            )
        epoch = str(connection.execute("SELECT epoch FROM gallery").fetchone()[0])
        for precision in PRECISIONS:
            block = Block(path.with_name(f"{path.name}.{precision}"), precision, size, epoch)
            if not block.path.exists():
                continue
            with block.locked():
                if read_header(block.path) is None or not _agrees(block, connection, size):
                    block.path.unlink()
                    found.append(
                        f"{block.path.name} was not what the database holds; it is deleted, and "
                        "made anew by the next search."
                    )
    return found


def _agrees(block: Block, connection: sqlite3.Connection, size: int) -> bool:
    """Whether each row of the block is the database's, and the rows of nobody are zero."""
    count = block.rows()
    rows = block.open(count)
    expected = 0
    for row, vector in vectors(connection, size, 0, count):
        if rows[expected:row].any() or not np.array_equal(
            rows[row], vector.astype(block.precision)
        ):
            return False
        expected = row + 1
    return not rows[expected:].any()
