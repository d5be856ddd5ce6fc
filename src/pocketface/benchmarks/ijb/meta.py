"""The meta files of IJB-B and IJB-C: which face lies where, and what is compared with what.

A folder holds `loose_crop/` with the images and `meta/` with, for the set's name `ijbX`:
`ijbX_face_tid_mid.txt` (name, template, media id), `ijbX_name_5pts_score.txt` (name, x and y of
five landmarks, detector score; the same order), `ijbX_template_pair_label.txt` (template,
template, 1 for one person or 0), all separated by spaces and without a header; and, for the 1:N
protocol, `ijbX_1N_gallery_*.csv` and `ijbX_1N_probe_mixed.csv` (template, subject) with a header.

Shapes: F faces, T templates, P pairs.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.number_rows import read_number_rows
from pocketface.benchmarks.ijb.template_pairs import MOST_TEMPLATES, DuplicatePairError, PairTable
from pocketface.errors import DataError

Ints = npt.NDArray[np.int64]

MEDIA_ENDING = "_face_tid_mid.txt"
LANDMARKS_ENDING = "_name_5pts_score.txt"
PAIRS_ENDING = "_template_pair_label.txt"


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


@dataclass(frozen=True)
class SubjectTable:
    """A gallery or the probes: `template` int64 (n,) rows of templates, `subject` int64 (n,)."""

    template: Ints
    subject: Ints


@dataclass(frozen=True)
class IjbMeta:
    """All meta files of a set. `galleries` is empty where the set has no 1:N protocol.

    `name` is as the files say, `ijbb` or `ijbc`.
    """

    name: str
    faces: FaceTable
    pairs: PairTable
    galleries: Mapping[str, SubjectTable]
    probes: SubjectTable | None


def read_meta(folder: Path) -> IjbMeta:
    """Read and check `folder/meta`. Raises DataError that names the file and the line."""
    name = _set_name(folder)
    meta = folder / "meta"
    faces = read_faces(meta / f"{name}{MEDIA_ENDING}", meta / f"{name}{LANDMARKS_ENDING}")
    pairs = read_pairs(meta / f"{name}{PAIRS_ENDING}", faces)
    tables = sorted(meta.glob(f"{name}_1N_gallery_*.csv"))
    probe_path = meta / f"{name}_1N_probe_mixed.csv"
    if bool(tables) != probe_path.is_file():
        raise DataError(
            f"{meta}: the 1:N protocol needs {name}_1N_gallery_*.csv and {probe_path.name}, and "
            f"only {'the galleries are' if tables else 'the probes are'} there. Add the missing "
            "files, or move the others away to measure 1:1 only."
        )
    prefix = f"{name}_1N_gallery_"
    galleries = {path.stem.removeprefix(prefix): read_subjects(path, faces) for path in tables}
    probes = read_subjects(probe_path, faces) if tables else None
    return IjbMeta(name, faces, pairs, galleries, probes)


def read_faces(media_path: Path, landmarks_path: Path) -> FaceTable:
    """Read the lists of media and of landmarks. Raises DataError."""
    names: list[str] = []
    template, media = array("q"), array("q")
    seen: dict[tuple[str, int], int] = {}
    for number, fields in _lines(media_path, 3, "name, template, media id"):
        try:
            ids = int(fields[1]), int(fields[2])
            template.append(ids[0])
            media.append(ids[1])
        except (ValueError, OverflowError):
            raise DataError(
                f"{media_path}: line {number}: template and media id must be whole numbers, got "
                f"'{fields[1]} {fields[2]}'. Correct the line."
            ) from None
        earlier = seen.setdefault((fields[0], ids[0]), number)
        if earlier != number:
            raise DataError(
                f"{media_path}: line {number}: {fields[0]} is in template {ids[0]} already, by "
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


def read_pairs(path: Path, faces: FaceTable) -> PairTable:
    """Read the list of template pairs. Raises DataError."""
    lefts, rights, sames = [], [], []
    first = 1
    for block in read_number_rows(path, 3, "template, template, 1 or 0"):
        left, right = faces.rows_of(block[:, 0]), faces.rows_of(block[:, 1])
        faults = (
            (left < 0) | (right < 0),
            (block[:, 2] != 0) & (block[:, 2] != 1),
            left == right,
        )
        faulty = np.flatnonzero(np.logical_or.reduce(faults))
        if len(faulty):
            row = int(faulty[0])
            one, two, label = block[row].tolist()
            if faults[0][row]:
                unknown = one if left[row] < 0 else two
                reason = f"template {unknown} has no face in the list of media"
            elif faults[1][row]:
                reason = f"the label must be 1 (one person) or 0 (two people), got {label}"
            else:
                reason = f"template {one} is compared with itself"
            raise DataError(f"{path}: line {first + row}: {reason}. Correct or remove the line.")
        lefts.append(left.astype(np.int32))
        rights.append(right.astype(np.int32))
        sames.append(block[:, 2] == 1)
        first += len(block)
    if not lefts:
        raise DataError(f"{path}: there is no pair in it. Restore the file.")
    same = np.concatenate(sames)
    try:
        return PairTable.build(_joined(lefts), _joined(rights), same, len(faces.templates))
    except DuplicatePairError as error:
        raise _duplicate(path, faces.templates[error.left], faces.templates[error.right]) from None


def read_subjects(path: Path, faces: FaceTable) -> SubjectTable:
    """Read a gallery or the probes of the 1:N protocol. Raises DataError."""
    text = _text(path).splitlines()
    header = text[0].split(",") if text else []
    if len(header) < 2 or _is_number(header[0]):
        raise DataError(
            f"{path}: line 1 must be a header such as TEMPLATE_ID,SUBJECT_ID; it is "
            f"'{text[0][:80] if text else ''}'. Restore it."
        )
    seen: dict[int, int] = {}
    subjects = []
    for number, line in enumerate(text[1:], 2):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(header) or not _is_number(fields[0]) or not _is_number(fields[1]):
            raise DataError(
                f"{path}: line {number}: '{line[:80]}' is not template, subject (whole numbers) "
                f"and {len(header) - 2} more columns as in the header. Correct the line."
            )
        template = int(fields[0])
        if seen.setdefault(template, number) != number:
            raise DataError(
                f"{path}: line {number}: template {template} stands in line {seen[template]} "
                "already. Take one of the two lines out."
            )
        subjects.append(int(fields[1]))
    if not subjects:
        raise DataError(f"{path}: there is no template in it. Restore the file.")
    rows = faces.rows_of(np.array(list(seen), np.int64))
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        template = list(seen)[int(unknown[0])]
        raise DataError(
            f"{path}: line {seen[template]}: template {template} has no face in the list of "
            "media. Correct or remove the line."
        )
    return SubjectTable(rows, np.array(subjects, np.int64))


def _set_name(folder: Path) -> str:
    found = sorted((folder / "meta").glob(f"*{MEDIA_ENDING}"))
    if len(found) != 1 or not (folder / "loose_crop").is_dir():
        raise DataError(
            f"{folder} is not an IJB set: it must have loose_crop/ and, in meta/, one list "
            f"ijbX{MEDIA_ENDING}; {len(found)} such lists were found. Give the folder that holds "
            "both."
        )
    return found[0].name.removesuffix(MEDIA_ENDING)


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
    faulty = np.flatnonzero(~np.isfinite(table).all(axis=1) | (table[:, 10] < 0))
    if len(faulty):
        raise DataError(
            f"{path}: line {faulty[0] + 1}: landmarks must be finite, and the detector score "
            f"not negative; got {table[faulty[0]].tolist()}. Correct the line."
        )
    return table[:, :10].reshape(-1, 5, 2).copy(), table[:, 10].copy()


def _duplicate(path: Path, left: np.int64, right: np.int64) -> DataError:
    """The error for a pair that stands twice; the file is read again to find its lines."""
    wanted = {int(left), int(right)}
    lines, first = [], 1
    for block in read_number_rows(path, 3, "template, template, 1 or 0"):
        hits = np.isin(block[:, 0], list(wanted)) & np.isin(block[:, 1], list(wanted))
        lines += (first + np.flatnonzero(hits)).tolist()
        first += len(block)
    return DataError(
        f"{path}: line {lines[1]}: the pair of templates {left} and {right} stands in line "
        f"{lines[0]} already (the order of the two does not count). Take one of the lines out."
    )


def _lines(path: Path, columns: int, what: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        fields = line.split()
        if len(fields) != columns:
            raise DataError(
                f"{path}: line {number}: has {len(fields)} columns, but must have {columns} "
                f"({what}): '{line.strip()[:80]}'. Correct the line."
            )
        yield number, fields


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error}. Restore the file.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror}. Restore the file.") from error


def _is_number(field: str) -> bool:
    return field.isascii() and field.removeprefix("-").isdigit() and len(field) <= 18


def _joined(parts: list[npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
    """The parts as one array; each part is freed as soon as it is copied."""
    whole = np.empty(sum(map(len, parts)), np.int32)
    at = 0
    parts.reverse()
    while parts:
        part = parts.pop()
        whole[at : at + len(part)] = part
        at += len(part)
    return whole
