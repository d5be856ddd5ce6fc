"""The meta files of IJB-B and IJB-C as they are published.

Text files without a header, separated by spaces: `<set>_face_tid_mid.txt` (name, template, media),
`<set>_name_5pts_score.txt` (name, x and y of five landmarks, detector score; the same order) and
`<set>_template_pair_label.txt` (template, template, 1 or 0). Tables of the 1:N protocol, separated
by commas, with a header: template, subject.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.synthetic.sets.detector import Detection

GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}
"""What the two galleries are called."""


def face_name(row: int) -> str:
    """The file of face `row` (from 0) in `loose_crop/`."""
    return f"{row + 1}.jpg"


def write_landmarks(meta: Path, name: str, detections: Sequence[Detection]) -> None:
    """Write the list of landmarks and scores."""
    lines = []
    for row, (landmarks, score) in enumerate(detections):
        points = " ".join(f"{value:.3f}" for value in landmarks.reshape(-1).tolist())
        lines.append(f"{face_name(row)} {points} {score:.4f}")
    _write(meta / f"{name}_name_5pts_score.txt", lines)


def write_media(
    meta: Path, name: str, template: npt.NDArray[np.int64], media: npt.NDArray[np.int64]
) -> None:
    """Write which template and medium each face belongs to."""
    rows = enumerate(zip(template.tolist(), media.tolist(), strict=True))
    lines = (f"{face_name(row)} {numbers[0]} {numbers[1]}" for row, numbers in rows)
    _write(meta / f"{name}_face_tid_mid.txt", lines)


def write_pairs(meta: Path, name: str, pairs: npt.NDArray[np.int64]) -> None:
    """Write the 1:1 comparisons, `pairs` int64 (P, 3)."""
    lines = (f"{left} {right} {same}" for left, right, same in pairs.tolist())
    _write(meta / f"{name}_template_pair_label.txt", lines)


def write_subjects(meta: Path, stem: str, subjects: Mapping[int, int]) -> None:
    """Write a gallery or the probes of the 1:N protocol: the subject of each template."""
    rows = (f"{template},{subject}" for template, subject in subjects.items())
    _write(meta / f"{stem}.csv", ["TEMPLATE_ID,SUBJECT_ID", *rows])


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="ascii", newline="\n") as handle:
        handle.writelines(f"{line}\n" for line in lines)
