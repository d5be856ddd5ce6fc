"""What a path holds, for a person who wants to train or evaluate with it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pocketface.data.faces import Faces, open_faces
from pocketface.data.fault import Fault
from pocketface.data.folder import IMAGE_ENDINGS
from pocketface.data.jpeg import decode_rgb
from pocketface.data.pair_lists import LIST_ENDINGS, read_pair_list
from pocketface.data.pairs import PairSet, load_pairs
from pocketface.data.record_faces import RecordFaces
from pocketface.errors import DataError

SAMPLE = 1000
"""How many images are decoded if not all are."""

_BLOCK = 1024


@dataclass(frozen=True)
class PeopleCount:
    """How many people there are, and how many images each has."""

    people: int
    fewest: int
    median: float
    most: int
    single: int
    """People with one image: they have no pair of their own."""
    histogram: dict[str, int]
    """People by their number of images: "1", "2", "3-4", "5-8", ..."""


@dataclass(frozen=True)
class PairCount:
    """How many pairs there are, of one person and of two."""

    pairs: int
    same: int
    different: int
    folds: int


@dataclass(frozen=True)
class Inspection:
    """What was found. `sizes` counts the decoded images by "widthxheight", most frequent first.

    `images` is the number of different images; `faults` are those of the reader and of decoding.
    """

    path: str
    format: Literal["folder", "rec", "bin", "pairs", "image"]
    images: int
    people: PeopleCount | None = None
    pairs: PairCount | None = None
    decoded: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]


def inspect_path(
    path: Path,
    images: Path | None = None,
    *,
    every: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Look at a training set, a verification `.bin`, a list of pairs or an image.

    Every image is decoded, or an even sample of `SAMPLE`. `images` is the folder of a list of
    pairs; without it the list alone is read. `progress` is called with (done, all). Raises
    DataError if `path` is none of these or cannot be used at all.
    """
    if path.is_dir() or path.suffix == ".rec" or not path.exists():
        return _inspect_faces(path, open_faces(path), every, progress)
    if path.suffix == ".bin" or (path.suffix in LIST_ENDINGS and images is not None):
        return _inspect_pairs(path, load_pairs(path, images), every, progress)
    if path.suffix in LIST_ENDINGS:
        return _inspect_list(path)
    if path.suffix.lower() in IMAGE_ENDINGS:
        try:
            encoded = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot read the image: {error.strerror}.") from error
        height, width, _ = decode_rgb(encoded, str(path)).shape
        return Inspection(str(path), "image", 1, decoded=1, sizes={f"{width}x{height}": 1})
    raise DataError(
        f"{path}: of no known format. Give a folder per person, a .rec, a .bin, a list of pairs "
        f"({', '.join(LIST_ENDINGS)}) or an image ({', '.join(IMAGE_ENDINGS)})."
    )


def check_images(
    indices: Sequence[int],
    pixels: Callable[[int], Pixels],
    name: Callable[[int], str],
    progress: Progress | None = None,
) -> tuple[Counter[str], list[Fault]]:
    """Decode the images at `indices`: their sizes ("widthxheight"), and those that cannot be."""

    def check(i: int) -> str | Fault:
        try:
            height, width, _ = pixels(i).shape
        except DataError as error:
            return Fault(name(i), str(error).removeprefix(f"{name(i)}: "))
        return f"{width}x{height}"

    sizes: Counter[str] = Counter()
    faults: list[Fault] = []
    done = 0
    # The decoder releases the interpreter's lock, so threads share the work.
    with ThreadPoolExecutor() as pool:
        for block in _blocks(indices):
            for outcome in pool.map(check, block):
                if isinstance(outcome, Fault):
                    faults.append(outcome)
                else:
                    sizes[outcome] += 1
            done += len(block)
            if progress is not None:
                progress(done, len(indices))
    return sizes, faults


def count_people(faces: Faces) -> PeopleCount:
    """Images per person of a training set."""
    counts = np.bincount(faces.labels, minlength=len(faces.people))
    # Buckets 1, 2, 3-4, 5-8, ...: the last number of each is a power of two.
    bucket = np.ceil(np.log2(counts)).astype(np.int64)
    histogram = {}
    for k, people in enumerate(np.bincount(bucket).tolist()):
        first, last = 2 ** (k - 1) + 1 if k else 1, 2**k
        histogram[str(last) if first >= last else f"{first}-{last}"] = people
    return PeopleCount(
        people=len(counts),
        fewest=int(counts.min()),
        median=float(np.median(counts)),
        most=int(counts.max()),
        single=int(np.count_nonzero(counts == 1)),
        histogram=histogram,
    )


def _blocks(indices: Sequence[int]) -> Iterator[list[int]]:
    remaining = iter(indices)
    while block := list(islice(remaining, _BLOCK)):
        yield block


def _chosen(count: int, every: bool) -> list[int]:
    if every or count <= SAMPLE:
        return list(range(count))
    spread: list[int] = np.linspace(0, count - 1, SAMPLE).round().astype(np.int64).tolist()
    return spread


def _inspect_faces(path: Path, faces: Faces, every: bool, progress: Progress | None) -> Inspection:
    chosen = _chosen(len(faces), every)
    sizes, faults = check_images(
        chosen, lambda i: decode_rgb(faces.encoded(i), faces.name(i)), faces.name, progress
    )
    return Inspection(
        str(path),
        "rec" if isinstance(faces, RecordFaces) else "folder",
        len(faces),
        people=count_people(faces),
        decoded=len(chosen),
        sizes=dict(sizes.most_common()),
        faults=[*faces.faults, *faults],
    )


def _inspect_pairs(
    path: Path, pairs: PairSet, every: bool, progress: Progress | None
) -> Inspection:
    chosen = _chosen(len(pairs.images), every)
    sizes, faults = check_images(chosen, pairs.pixels, lambda i: pairs.names[i], progress)
    return Inspection(
        str(path),
        "bin" if path.suffix == ".bin" else "pairs",
        len(pairs.images),
        pairs=_count_pairs(pairs.same.tolist(), pairs.folds),
        decoded=len(chosen),
        sizes=dict(sizes.most_common()),
        faults=faults,
    )


def _inspect_list(path: Path) -> Inspection:
    listed = read_pair_list(path)
    images = {name for entry in listed.entries for name in (entry.left, entry.right)}
    count = _count_pairs([entry.same for entry in listed.entries], listed.folds)
    return Inspection(str(path), "pairs", len(images), pairs=count)


def _count_pairs(same: list[bool], folds: int) -> PairCount:
    return PairCount(len(same), sum(same), len(same) - sum(same), folds)
