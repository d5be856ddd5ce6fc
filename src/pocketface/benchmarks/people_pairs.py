"""Pairs over the user's own people: every pair of one person, and as many of two as are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import overload

import numpy as np
import numpy.typing as npt

from pocketface.data import Faces
from pocketface.data.pairs import PairSet
from pocketface.errors import DataError

Ints = npt.NDArray[np.int64]

IMAGES_PER_PERSON = 10
"""Of a person with more, so many are drawn: nobody may outweigh the others (our choice)."""

IMPOSTOR_PAIRS = 100_000
"""Of more pairs of two people, so many are drawn."""


@dataclass(frozen=True)
class PeoplePairs:
    """Pairs, and who is on each image of theirs, int64 (images,)."""

    pairs: PairSet
    people: Ints


class _Chosen(Sequence[bytes]):
    """Some images of a set of faces, read when they are asked for."""

    def __init__(self, faces: Faces, rows: Ints) -> None:
        self.faces = faces
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, i: int) -> bytes: ...
    @overload
    def __getitem__(self, i: slice) -> "_Chosen": ...
    def __getitem__(self, i: int | slice) -> "bytes | _Chosen":
        if isinstance(i, slice):
            return _Chosen(self.faces, self.rows[i])
        return self.faces.encoded(int(self.rows[i]))


def pairs_of_people(
    faces: Faces,
    generator: np.random.Generator,
    *,
    images_per_person: int = IMAGES_PER_PERSON,
    impostor_pairs: int = IMPOSTOR_PAIRS,
) -> PeoplePairs:
    """All pairs of one person, and all or `impostor_pairs` drawn pairs of two, in random order.

    Raises DataError without a person of two images, or with one person only.
    """
    chosen = chosen_images(faces.labels, generator, images_per_person)
    people = faces.labels[chosen].astype(np.int64)
    left, right, same = pairs_among(people, generator, impostor_pairs)
    names = [faces.name(int(row)) for row in chosen]
    folds = min(10, len(same))
    return PeoplePairs(PairSet(_Chosen(faces, chosen), left, right, same, names, folds), people)


def chosen_images(
    labels: Ints, generator: np.random.Generator, images_per_person: int = IMAGES_PER_PERSON
) -> Ints:
    """Which images are used, int64 (images,), one person after the other: all, or drawn ones.

    `labels` is int64 (N,), who is on each image.
    """
    by_person = np.argsort(labels, kind="stable")
    begins = np.flatnonzero(np.diff(labels[by_person], prepend=-1))
    rows: list[int] = []
    for own in np.split(by_person, begins[1:]):
        if len(own) > images_per_person:
            own = np.sort(generator.choice(own, images_per_person, replace=False))
        rows += own.tolist()
    return np.array(rows, np.int64)


def pairs_among(
    people: Ints, generator: np.random.Generator, impostor_pairs: int = IMPOSTOR_PAIRS
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Left and right image of each pair, int64 (P,) each, and its truth, bool (P,).

    All pairs of one person, and all or `impostor_pairs` drawn pairs of two, in random order;
    `people` is int64 (images,), who is on each image, one person after the other. Raises DataError
    without a person of two images, or with one person only.
    """
    begins = np.flatnonzero(np.diff(people, prepend=-1))
    genuine = [
        pair
        for own in np.split(np.arange(len(people)), begins[1:])
        for pair in combinations(own.tolist(), 2)
    ]
    if not genuine or len(begins) < 2:
        raise DataError(
            f"{len(begins)} people with {len(people)} images give no pairs of one "
            "person and of two: give at least two people, one of them with two images."
        )
    apart = _apart(people, impostor_pairs, generator)
    pairs = np.concatenate([np.array(genuine, np.int64), apart])
    order = generator.permutation(len(pairs))
    left, right = np.ascontiguousarray(pairs[order].T)
    return left, right, order < len(genuine)


def _apart(people: Ints, count: int, generator: np.random.Generator) -> Ints:
    """Different pairs of images of two people, int64 (M, 2): all, or `count` drawn ones."""
    images = len(people)
    if images * (images - 1) // 2 <= 4 * count:
        every: Ints = np.stack(np.triu_indices(images, 1), axis=1).astype(np.int64)
        every = every[people[every[:, 0]] != people[every[:, 1]]]
        if len(every) <= count:
            return every
        drawn_rows: Ints = np.sort(generator.choice(len(every), count, replace=False))
        return every[drawn_rows]
    found = np.empty(0, np.int64)
    while len(found) < count:
        drawn = np.sort(generator.integers(images, size=(2 * count, 2)), axis=1)
        drawn = drawn[people[drawn[:, 0]] != people[drawn[:, 1]]]
        found = np.unique(np.concatenate([found, drawn[:, 0] * images + drawn[:, 1]]))
    kept = np.sort(generator.choice(found, count, replace=False))
    return np.stack(np.divmod(kept, images), axis=1)
