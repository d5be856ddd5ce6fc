"""The meta files of IJB-B and IJB-C: which face lies where, and what is compared with what.

A folder holds `loose_crop/` with the images and `meta/` with, for the set's name `ijbX`:
`ijbX_face_tid_mid.txt` (name, template, media id), `ijbX_name_5pts_score.txt` (name, x and y of
five landmarks, detector score; the same order), `ijbX_template_pair_label.txt` (template,
template, 1 for one person or 0), all separated by spaces and without a header; and, for the 1:N
protocol, `ijbX_1N_gallery_*.csv` and `ijbX_1N_probe_mixed.csv` (template, subject) with a header.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.face_table import FaceTable, read_faces, read_text
from pocketface.benchmarks.ijb.number_rows import is_number, read_number_rows
from pocketface.benchmarks.ijb.template_pairs import DuplicatePairError, PairTable
from pocketface.errors import DataError

Ints = npt.NDArray[np.int64]

MEDIA_ENDING = "_face_tid_mid.txt"
LANDMARKS_ENDING = "_name_5pts_score.txt"
PAIRS_ENDING = "_template_pair_label.txt"


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
    text = read_text(path).splitlines()
    header = text[0].split(",") if text else []
    if len(header) < 2 or is_number(header[0]):
        raise DataError(
            f"{path}: line 1 must be a header such as TEMPLATE_ID,SUBJECT_ID; it is "
            f"'{text[0][:80] if text else ''}'. Restore it."
        )
    seen: dict[int, int] = {}
    subjects = []
    for number, line in enumerate(text[1:], 2):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(header) or not is_number(fields[0]) or not is_number(fields[1]):
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
