"""Rows of many embedding files, mapped into memory.

A mapped file that is cut short makes the system end the process that reads beyond its end. So
each look at a file begins with its size; what is left is a file cut in the microseconds between.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.errors import DataError

Shard = npt.NDArray[np.float16]


class MappedEmbeddings:
    """Embeddings float16 of images and their mirrors, in `.npy` files of shape (2, n, D).

    A file is opened when a row of it is asked for, and stays open as long as this object.

    Args:
        paths: the files.
        shapes: what is expected in them.
        shard_images: images per file; the last one may have fewer.
    """

    def __init__(
        self, paths: Sequence[Path], shapes: Sequence[tuple[int, int, int]], shard_images: int
    ) -> None:
        self.paths = paths
        self.shapes = shapes
        self.shard_images = shard_images
        self._open: dict[int, tuple[mmap.mmap, int, Shard]] = {}

    def gather(self, indices: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]) -> Shard:
        """Embeddings float16 (N, D) of the images at `indices`, mirrored where so said.

        Raises:
            DataError: if a file is not what was expected, or was cut short since it was opened.
        """
        rows = np.empty((len(indices), self.shapes[0][2]), np.float16)
        # In the order of the files: those that are not in memory are then read forwards.
        order = np.argsort(indices)
        numbers, places = np.divmod(indices[order], self.shard_images)
        wanted = zip(
            order.tolist(),
            numbers.tolist(),
            mirrored[order].astype(np.intp).tolist(),
            places.tolist(),
            strict=True,
        )
        current, shard = -1, rows
        for row, number, mirror, place in wanted:
            if number != current:
                current, shard = number, self._shard(number)
            rows[row] = shard[mirror, place]
        return rows

    def _shard(self, number: int) -> Shard:
        if number not in self._open:
            self._open[number] = _map(self.paths[number], self.shapes[number])
        mapped, size, shard = self._open[number]
        if mapped.size() < size:
            raise _broken(
                self.paths[number], f"it was cut from {size:,} to {mapped.size():,} bytes"
            )
        return shard


def _map(path: Path, shape: tuple[int, int, int]) -> tuple[mmap.mmap, int, Shard]:
    """The map, the file's size, and the array in it."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            found, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    size = start + int(np.prod(shape)) * 2
    if found != shape or dtype != np.dtype(np.float16) or fortran or len(mapped) != size:
        raise _broken(path, f"it holds {dtype} {found} in {len(mapped):,} bytes, not {shape}")
    return mapped, size, np.frombuffer(mapped, np.float16, offset=start).reshape(shape)


def _broken(path: Path, why: str) -> DataError:
    return DataError(
        f"the teacher's embeddings in {path} cannot be used: {why}. Start the run again with "
        "--resume: what is broken is found and computed anew."
    )
