"""The pictures of an unfinished set: parts on disk, each written whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from pocketface import atomic
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets.shot import Picture, Renderer, Shot, take

PART = 64
"""Pictures in a part: what a stop can lose in each process."""


@dataclass(frozen=True)
class PartJob:
    """One part to take: `shots` of the population `seed`, to be written to `path`."""

    path: Path
    seed: int
    shots: list[Shot]

    def run(self, render: Renderer | None = None) -> None:
        """Take the pictures and write them. `render` is for tests."""
        if render is None:
            from pocketface.synthetic.render import render as real

            render = real
        pictures = take(self.shots, Population(self.seed), render)
        files = np.frombuffer(b"".join(picture.file for picture in pictures), dtype=np.uint8)
        ends = np.cumsum([len(picture.file) for picture in pictures])
        landmarks = np.stack([picture.landmarks for picture in pictures])
        with atomic.atomic_path(self.path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, files=files, ends=ends, landmarks=landmarks)


class Parts(Sequence[Picture]):
    """The pictures of `shots` in `folder`, read part by part. All must have been taken."""

    def __init__(self, folder: Path, seed: int, shots: Sequence[Shot]) -> None:
        self._folder, self._seed, self._shots = folder, seed, shots
        self._loaded = -1
        self._pictures: list[Picture] = []

    def missing(self) -> list[PartJob]:
        """The parts that are not on disk."""
        starts = range(0, len(self._shots), PART)
        return [
            PartJob(self._path(start), self._seed, list(self._shots[start : start + PART]))
            for start in starts
            if not self._path(start).is_file()
        ]

    def __len__(self) -> int:
        return len(self._shots)

    @overload
    def __getitem__(self, i: int) -> Picture: ...
    @overload
    def __getitem__(self, i: slice) -> list[Picture]: ...
    def __getitem__(self, i: int | slice) -> Picture | list[Picture]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not 0 <= i < len(self):
            raise IndexError(f"picture {i} of {len(self)}")
        start = i - i % PART
        if start != self._loaded:
            self._pictures = _read(self._path(start))
            self._loaded = start
        return self._pictures[i - start]

    def _path(self, start: int) -> Path:
        return self._folder / f"part_{start:09d}.npz"


def _read(path: Path) -> list[Picture]:
    with np.load(path, allow_pickle=False) as part:
        files, ends, landmarks = part["files"].tobytes(), part["ends"].tolist(), part["landmarks"]
    starts = [0, *ends[:-1]]
    return [
        Picture(files[start:end], points)
        for start, end, points in zip(starts, ends, landmarks, strict=True)
    ]
