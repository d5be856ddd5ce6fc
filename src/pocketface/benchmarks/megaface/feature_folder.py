"""The devkit's folders of features, one file per image, read into one mapped array and written.

A feature lies at `facescrub/<person>/<image>_<algorithm>.bin` or
`megaface/<a>/<b>/<image>_<algorithm>.bin`. Features that others have cleaned carry one more
column at the end: 0, or 100 for noise.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.benchmarks.megaface.feature_file import Feature, encode_feature, read_feature
from pocketface.embedding.embedder import Progress
from pocketface.errors import DataError, RecipeError

PROBES, DISTRACTORS = "facescrub", "megaface"
_NOISE = 100.0
_AT_ONCE = 1024


@dataclass(frozen=True)
class StoredFeatures:
    """Features as a folder held them.

    Attributes:
        rows: float32 or float64 (N, D), mapped from a file.
        last: float64 (N,), the last value of each, in the files of which it may say 'noise'.
    """

    rows: npt.NDArray[np.floating]
    last: npt.NDArray[np.float64]

    def says_noise(self) -> bool:
        """Whether the last column says only what is noise: each value is 0 or 100.

        So does a number that a network leaves at 0; see `marks_noise`.
        """
        return bool(np.isin(self.last, (0.0, _NOISE)).all())

    def marks_noise(self) -> bool:
        """Whether the last column of any feature is 100."""
        return bool(self.noisy().any())

    def noisy(self) -> npt.NDArray[np.bool_]:
        """Which are noise, bool (N,), where the last column says it."""
        noise: npt.NDArray[np.bool_] = self.last == _NOISE
        return noise


def find_algorithm(folder: Path, paths: Sequence[str]) -> str:
    """What stands between an image's name and `.bin` in `folder`, found at the first images.

    Raises DataError if no image has a feature, RecipeError if there are several algorithms.
    """
    for path in paths:
        parent, start = (folder / path).parent, Path(path).name + "_"
        if not parent.is_dir():
            continue
        found = sorted(
            entry.name[len(start) : -len(".bin")]
            for entry in parent.iterdir()
            if entry.name.startswith(start) and entry.name.endswith(".bin")
        )
        if len(found) > 1:
            raise RecipeError(
                f"{folder} holds the features of several algorithms: {', '.join(found)}. "
                "Say which with --algorithm."
            )
        if found:
            return found[0]
    raise DataError(
        f"{folder} holds no feature of any listed image. They are called "
        f"<image>_<algorithm>.bin, here {paths[0]}_<algorithm>.bin."
    )


def feature_path(folder: Path, image: str, algorithm: str) -> Path:
    """Where the feature of `image` lies in `folder`, the one for probes or for distractors."""
    return folder / f"{image}_{algorithm}.bin"


def read_features(
    folder: Path,
    paths: Sequence[str],
    algorithm: str,
    target: Path,
    progress: Progress | None = None,
) -> StoredFeatures:
    """Read the features of the images `paths` into the file `target`, and map it.

    Only a few of them are in memory at a time. Raises DataError for a file that is missing or
    broken, whose type or dimension is not that of the first, or that is all zero; and for a full
    disk, which leaves no `target`.
    """
    last = np.empty(len(paths))
    first = read_feature(feature_path(folder, paths[0], algorithm))
    try:
        with atomic.atomic_path(target) as temporary, temporary.open("wb") as handle:
            for start in range(0, len(paths), _AT_ONCE):
                names = paths[start : start + _AT_ONCE]
                rows = np.stack(list(_matching(folder, names, algorithm, first)))
                last[start : start + len(rows)] = rows[:, -1]
                handle.write(rows.tobytes())
                if progress is not None:
                    progress(start + len(rows), len(paths))
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror}. Choose a folder with more room."
        ) from error
    shape = (len(paths), len(first))
    return StoredFeatures(np.memmap(target, first.dtype, mode="r", shape=shape), last)


def _matching(
    folder: Path, paths: Sequence[str], algorithm: str, first: Feature
) -> Iterator[Feature]:
    for path in paths:
        file = feature_path(folder, path, algorithm)
        values = read_feature(file)
        if values.shape != first.shape or values.dtype != first.dtype:
            raise DataError(
                f"{file} has {len(values)} values of type {values.dtype}, the first feature "
                f"{len(first)} of type {first.dtype}: they are not of one network. Write the "
                "features again."
            )
        if not values.any():
            raise DataError(
                f"{file}: all {len(values)} values are zero, which has no direction to compare. "
                "Remove the file, so that the image counts as missing, or write it again."
            )
        yield values


def check_new_folder(folder: Path) -> None:
    """Raise DataError if `folder`, or what a stopped run left of it, is there already."""
    if folder.exists():
        raise DataError(f"{folder} is there already. Move it away, or choose another folder.")
    if _growing(folder).exists():
        # Features of another network in it would end up among the new ones.
        raise DataError(
            f"{_growing(folder)} is left of a run that was stopped. Delete it, or choose another "
            "folder."
        )


def write_features(
    folder: Path,
    parts: Sequence[tuple[str, Sequence[str], npt.NDArray[np.floating]]],
    algorithm: str,
) -> None:
    """Write one feature file per image into the new folder `folder`, for the devkit to read.

    Each part is the name of its folder, the images' paths and their features, floating (N, D).
    While it grows the folder is called `<folder>.partial`. Raises what `check_new_folder` raises,
    and DataError if the folder cannot be written.
    """
    check_new_folder(folder)
    growing = _growing(folder)
    made: set[Path] = set()
    try:
        for name, paths, rows in parts:
            for row, image in enumerate(paths):
                file = feature_path(growing / name, image, algorithm)
                if file.parent not in made:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    made.add(file.parent)
                file.write_bytes(encode_feature(rows[row]))
        # One sync for a million small files; until then the folder says that it is not whole.
        os.sync()
        growing.replace(folder)
    except OSError as error:
        raise DataError(
            f"{growing} cannot be written: {error.strerror}. Delete it, and choose a folder with "
            "more room."
        ) from error


def _growing(folder: Path) -> Path:
    return folder.with_name(folder.name + ".partial")
