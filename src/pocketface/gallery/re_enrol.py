"""A gallery brought over to another network, from the aligned faces that it kept.

The new embeddings are collected in a table of their own, some at a time, so that a stopped run goes
on; when all are there, one transaction puts them in the place of the old ones and names the new
maker. Until then searches see the old network's gallery, whole; after it the new one's.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.flip import embed_faces
from pocketface.embedding.unit import unit
from pocketface.errors import GalleryError
from pocketface.gallery import database
from pocketface.gallery.database import told, writing
from pocketface.gallery.gallery import Maker
from pocketface.gallery.sqlite_gallery import PRECISIONS, SqliteGallery

_BATCH = 32


def re_enrol(
    path: Path,
    embedder: Embedder,
    name: str,
    *,
    flip: bool,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Embed the kept faces of the gallery at `path` anew; gives how many templates there are.

    `name` is the file of the new `embedder`. Raises GalleryError as `SqliteGallery`, and where a
    template has no kept face; DataError where one cannot be decoded.
    """
    SqliteGallery(path).close()  # says what is wrong with it, if anything is
    maker = Maker.of(embedder, name, flip=flip)
    key = f"{maker.fingerprint} {int(flip)}"
    with closing(database.connect(path)) as connection, told(path):
        connection.execute("DELETE FROM anew WHERE fingerprint != ?", (key,))
        while True:
            _check_crops(connection, path)
            _embed_all(connection, embedder, key, progress, flip=flip)
            if _swap(connection, maker):
                break  # else somebody was enrolled meanwhile
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        count = _count(connection, "template")
    for precision in PRECISIONS:
        # Rows of the old network; a search makes the block anew.
        path.with_name(f"{path.name}.{precision}").unlink(missing_ok=True)
    return count


def _check_crops(connection: sqlite3.Connection, path: Path) -> None:
    templates, crops = _count(connection, "template"), _count(connection, "crop")
    if crops < templates:
        raise GalleryError(
            f"{path}: {templates - crops:,} of {templates:,} templates have no aligned face kept "
            "beside them, so they cannot be embedded anew. Enrol the photographs into a new "
            "gallery; with --keep-crops the next change of network is this one command."
        )


def _embed_all(
    connection: sqlite3.Connection,
    embedder: Embedder,
    key: str,
    progress: Callable[[int, int], None] | None,
    *,
    flip: bool,
) -> None:
    total = _count(connection, "template")
    done = _count(connection, "anew")
    while True:
        if progress is not None:
            progress(done, total)
        rows = connection.execute(
            "SELECT crop.template, png FROM crop LEFT JOIN anew ON anew.template = crop.template "
            "WHERE anew.template IS NULL LIMIT ?",
            (_BATCH,),
        ).fetchall()
        if not rows:
            return
        faces = [decode_rgb(png, f"the kept face of template {number}") for number, png in rows]
        vectors = unit(embed_faces(embedder, faces, flip=flip)).astype("<f4")
        with writing(connection):
            connection.executemany(
                # A template that was removed meanwhile has no place to go.
                "INSERT INTO anew SELECT id, ?, ? FROM template WHERE id = ?",
                [
                    (key, row.tobytes(), number)
                    for (number, _), row in zip(rows, vectors, strict=True)
                ],
            )
        done += len(rows)


def _swap(connection: sqlite3.Connection, maker: Maker) -> bool:
    """Put the new vectors in the place of the old ones; False, with no change, if some lack."""
    with writing(connection):
        if _count(connection, "anew") < _count(connection, "template"):
            return False
        connection.execute(
            "UPDATE template SET vector = (SELECT vector FROM anew WHERE template = template.id)"
        )
        connection.execute("DELETE FROM anew")
        connection.execute(
            "UPDATE gallery SET epoch = ?, generation = generation + 1, fingerprint = ?, "
            "embedding_size = ?, flip = ?, model = ?, preprocessing = ?",
            (database.new_epoch(), *database.maker_row(maker)),
        )
    return True


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
