"""Embeddings of many images, written to a file as they come, so that a stop loses little.

While it grows, the file is called `<path>.partial`; a journal `<path>.json` says which network and
images it belongs to and how many rows are finished. Once whole, it gets its own name, a plain
`.npy` that is mapped into memory and never held there. A later call with the same plan goes on
after the finished rows, or uses the whole file as it is.
"""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.embedding.flip import embed_faces
from pocketface.errors import DataError, WeightsError

Fetch = Callable[[int], npt.NDArray[np.uint8]]
"""Gives image i, uint8 (H, H, 3) RGB; several threads call it at once."""

BATCH = 64
"""Images per call of the network; a run goes on at a whole batch, so that it computes the same."""

JOURNAL = 16
"""Batches between two notes in the journal: what a kill can lose."""

_THREADS = min(4, os.cpu_count() or 1)
"""Threads that fetch the next batch while the network works on this one."""


def embed_to_file(
    path: Path,
    count: int,
    fetch: Fetch,
    embedder: Embedder,
    *,
    flip: bool,
    plan: Mapping[str, Any],
    progress: Progress | None = None,
    dtype: Literal["float32", "float16"] = "float32",
) -> npt.NDArray[np.floating]:
    """Embed `count` images into the file `path`; gives its rows, read-only (count, D) of `dtype`.

    Args:
        path: the `.npy` to make, or to go on with.
        count: number of images, at least 1.
        fetch: gives an image.
        embedder: the network.
        flip: sum the embeddings of image and mirror.
        plan: what identifies the images, as JSON holds it; another plan's file is refused.
        progress: told after each batch how many images are done, of how many.
        dtype: of the numbers on the disk.

    Raises DataError for a file of another network or other images, a broken file, or a disk that
    is full (what is finished stays, under the name `.partial`); what `fetch` and `embedder.embed`
    raise; WeightsError for embeddings beyond the range of float16.
    """
    whole_plan = json.loads(
        json.dumps(
            {
                **plan,
                "network": embedder.fingerprint,
                "flip": flip,
                "images": count,
                "embedding size": embedder.embedding_size,
                "number type": dtype,
            }
        )
    )
    file = _EmbeddingFile(path, (count, embedder.embedding_size), np.dtype(dtype), whole_plan)
    with file.disk():
        path.parent.mkdir(parents=True, exist_ok=True)
        finished = file.claim()
    if finished < count:
        _fill(file, finished, fetch, embedder, progress, flip=flip)
    elif progress is not None:
        progress(count, count)
    with file.disk():
        file.finish()
    return file.read()


def _fill(
    file: "_EmbeddingFile",
    finished: int,
    fetch: Fetch,
    embedder: Embedder,
    progress: Progress | None,
    *,
    flip: bool,
) -> None:
    """Write the rows from `finished` on; note them in the journal even if an error ends it."""
    count = file.shape[0]
    written = finished
    with file.disk():
        handle = file.partial.open("r+b", buffering=0)
    with handle:
        try:
            for number, faces in enumerate(_batches(fetch, finished, count), 1):
                rows = embed_faces(embedder, faces, flip=flip)
                with file.disk():
                    file.write(handle, written, rows)
                    written += len(rows)
                    if number % JOURNAL == 0:
                        file.note(handle, written)
                if progress is not None:
                    progress(written, count)
        finally:
            with file.disk():
                file.note(handle, written)


def _batches(fetch: Fetch, start: int, count: int) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """The images from `start` on in batches, each fetched while the one before is worked on."""
    with ThreadPoolExecutor(_THREADS) as pool:

        def order(first: int) -> list[Any]:
            return [pool.submit(fetch, i) for i in range(first, min(first + BATCH, count))]

        try:
            ordered = order(start)
            for first in range(start, count, BATCH):
                faces = [future.result() for future in ordered]
                ordered = order(first + BATCH)
                yield faces
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _EmbeddingFile:
    """The file, its partial form and its journal."""

    def __init__(
        self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any], plan: dict[str, Any]
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self.plan = plan
        self.partial = path.with_name(path.name + ".partial")
        self.journal = path.with_name(path.name + ".json")
        self._head = _header(shape, dtype)
        self._row = shape[1] * dtype.itemsize

    @contextlib.contextmanager
    def disk(self) -> Iterator[None]:
        """Turn an error of the disk into one that says what to do."""
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror}. What was finished is kept; "
                "make room or repair the disk and run the same command again, or choose another "
                "folder."
            ) from error

    def claim(self) -> int:
        """How many rows are finished; begins the files if there are none."""
        if not self.journal.is_file():
            if self.path.exists():
                raise DataError(
                    f"{self.path} is there without its {self.journal.name}, so nobody knows whose "
                    "embeddings it holds. Move it away, or choose another folder."
                )
            self._begin()
            return 0
        found = self._read_journal()
        differing = sorted(
            key
            for key in self.plan.keys() | found["plan"].keys()
            if self.plan.get(key) != found["plan"].get(key)
        )
        if differing:
            raise DataError(
                f"{self.path} holds embeddings of another run: it differs in "
                f"{', '.join(differing)}. Delete it and {self.journal.name}, or choose another "
                "folder."
            )
        if self.path.is_file():
            return self.shape[0]
        finished: int = found["finished"]
        held = self.partial.stat().st_size if self.partial.is_file() else 0
        if not 0 <= finished <= self.shape[0] or held < len(self._head) + finished * self._row:
            raise DataError(
                f"{self.partial} is shorter than the {finished:,} rows that {self.journal.name} "
                "says are finished. Delete both and run the command again."
            )
        return finished - finished % BATCH

    def _begin(self) -> None:
        try:
            with self.partial.open("wb") as handle:
                handle.write(self._head)
                # Better to learn now than after hours that the disk is too small.
                if hasattr(os, "posix_fallocate"):
                    size = len(self._head) + self.shape[0] * self._row
                    os.posix_fallocate(handle.fileno(), 0, size)
            self._write_journal(0)
        except OSError:
            self.partial.unlink(missing_ok=True)
            raise

    def _read_journal(self) -> dict[str, Any]:
        try:
            found = json.loads(self.journal.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if (
            not isinstance(found, dict)
            or not isinstance(found.get("plan"), dict)
            or not isinstance(found.get("finished"), int)
        ):
            raise DataError(
                f"{self.journal} is not the journal of an embedding run. Delete it and "
                f"{self.partial.name}, and run the command again."
            )
        return found

    def _write_journal(self, finished: int) -> None:
        content = {"plan": self.plan, "finished": finished}
        atomic.write_text(self.journal, json.dumps(content, indent=2) + "\n")

    def write(self, handle: BinaryIO, first: int, rows: npt.NDArray[np.float32]) -> None:
        """Put `rows`, float32 (n, D), at row `first`."""
        faulty = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(faulty):
            raise WeightsError(
                f"the embedding of image {first + int(faulty[0])} (from 0) is not finite. The "
                "weights are broken, or the preprocessing is not the network's."
            )
        with np.errstate(over="ignore"):
            stored = rows.astype(self.dtype)
        if not np.isfinite(stored).all():
            raise WeightsError(
                f"an embedding among the images {first} to {first + len(rows) - 1} is beyond the "
                f"range of {self.dtype}. Keep these embeddings as float32."
            )
        handle.seek(len(self._head) + first * self._row)
        content = memoryview(stored.tobytes())
        while content:  # an unbuffered write may take a part only
            content = content[handle.write(content) :]

    def note(self, handle: BinaryIO, finished: int) -> None:
        """Say in the journal that `finished` rows are on the disk."""
        os.fsync(handle.fileno())
        self._write_journal(finished)

    def finish(self) -> None:
        """Give the whole file its own name, unless it has it."""
        if not self.path.is_file():
            self.partial.replace(self.path)
            atomic.sync_folder(self.path.parent)

    def read(self) -> npt.NDArray[np.floating]:
        """The rows, mapped read-only."""
        size = self.path.stat().st_size
        wanted = len(self._head) + self.shape[0] * self._row
        with self.path.open("rb") as handle:
            intact = size == wanted and handle.read(len(self._head)) == self._head
        if not intact:
            raise DataError(
                f"{self.path} has {size:,} bytes, where embeddings {self.shape} of {self.dtype} "
                f"have {wanted:,}, or it is another file. Delete it and {self.journal.name}, and "
                "run the command again."
            )
        return np.memmap(self.path, self.dtype, mode="r", offset=len(self._head), shape=self.shape)


def _header(shape: tuple[int, int], dtype: np.dtype[Any]) -> bytes:
    """The first bytes of the `.npy`."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        },
    )
    return buffer.getvalue()
