"""The faces of IJB-B or IJB-C: images, landmarks, templates and media, from the two lists of them.

Shapes: F faces, T templates.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.number_rows import is_number
from pocketface.benchmarks.ijb.template_pairs import MOST_TEMPLATES
from pocketface.errors import DataError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FaceTable:
    """Every face of a set: its image, its landmarks, its template and medium.

    Attributes:
        names: F file names in `loose_crop/`.
        landmarks: float64 (F, 5, 2), x and y in pixels of the image.
        detector_score: float64 (F,), not negative.
        template: int64 (F,), the face's template as a row of `templates`.
        media: int64 (F,), media ids as they stand in the file.
        templates: int64 (T,), template ids, ascending.
    """

    names: list[str]
    landmarks: npt.NDArray[np.float64]
    detector_score: npt.NDArray[np.float64]
    template: Ints
    media: Ints
    templates: Ints

    def rows_of(self, ids: Ints) -> Ints:
        """The rows of `templates` that hold `ids`, int64; -1 for an unknown id."""
        rows = np.minimum(np.searchsorted(self.templates, ids), len(self.templates) - 1)
        return np.where(self.templates[rows] == ids, rows, -1)


def read_faces(media_path: Path, landmarks_path: Path) -> FaceTable:
    """Read the lists of media and of landmarks. Raises DataError."""
    names: list[str] = []
    template, media = array("q"), array("q")
    seen: dict[tuple[str, int], int] = {}
    for number, fields in _lines(media_path, 3, "name, template, media id"):
        if not is_number(fields[1]) or not is_number(fields[2]):
            raise DataError(
                f"{media_path}: line {number}: template and media id must be whole numbers, got "
                f"'{fields[1]} {fields[2]}'. Correct the line."
            )
        template.append(int(fields[1]))
        media.append(int(fields[2]))
        earlier = seen.setdefault((fields[0], template[-1]), number)
        if earlier != number:
            raise DataError(
                f"{media_path}: line {number}: {fields[0]} is in template {fields[1]} already, by "
                f"line {earlier}. Take one of the two lines out."
            )
        names.append(fields[0])
    if not names:
        raise DataError(f"{media_path}: there is no face in it. Restore the file.")
    landmarks, scores = _read_landmarks(landmarks_path, names, media_path)
    templates, rows = np.unique(np.array(template, np.int64), return_inverse=True)
    if len(templates) > MOST_TEMPLATES:
        raise DataError(f"{media_path}: {len(templates):,} templates are more than can be indexed.")
    return FaceTable(
        names, landmarks, scores, rows.astype(np.int64), np.array(media, np.int64), templates
    )


def read_text(path: Path) -> str:
    """A list's text. Raises DataError if it cannot be read or is no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error}. Restore the file.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror}. Restore the file.") from error


def _read_landmarks(
    path: Path, names: list[str], media_path: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    numbers = array("d")
    count = 0
    for number, fields in _lines(path, 12, "name, five times x and y, detector score"):
        if number > len(names) or fields[0] != names[number - 1]:
            wanted = names[number - 1] if number <= len(names) else "the end of the file"
            raise DataError(
                f"{path}: line {number}: the face is {fields[0]}, but {media_path.name} has "
                f"{wanted} there: both must list the same faces in the same order."
            )
        try:
            numbers.extend(map(float, fields[1:]))
        except ValueError:
            raise DataError(
                f"{path}: line {number}: landmarks and score must be numbers, got "
                f"'{' '.join(fields[1:])[:120]}'. Correct the line."
            ) from None
        count = number
    if count < len(names):
        raise DataError(
            f"{path}: ends after line {count}, but {media_path.name} has {len(names):,} faces, "
            f"next {names[count]}. Restore the file."
        )
    table = np.array(numbers).reshape(-1, 11)
    points, scores = table[:, :10].reshape(-1, 5, 2).copy(), table[:, 10].copy()
    at_one_point = (points == points[:, :1]).all(axis=(1, 2))
    faulty = np.flatnonzero(~np.isfinite(table).all(axis=1) | (scores < 0) | at_one_point)
    if len(faulty):
        raise DataError(
            f"{path}: line {faulty[0] + 1}: landmarks must be finite and not all one point, the "
            f"detector score not negative; got {table[faulty[0]].tolist()}. Correct the line."
        )
    return points, scores


def _lines(path: Path, columns: int, what: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if len(fields) != columns:
            raise DataError(
                f"{path}: line {number}: has {len(fields)} columns, but must have {columns} "
                f"({what}): '{line.strip()[:80]}'. Correct the line."
            )
        yield number, fields
