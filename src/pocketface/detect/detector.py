"""What a face detector gives, whichever it is, and which face of several is meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ONE_SIZE = 0.7
"""Faces whose sides are at least this share of the largest one's count as of one size (ours)."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face found in a photograph; all coordinates in its pixels, x right and y down.

    `box` is left, top, right, bottom, and may reach beyond the picture; `score` lies in [0, 1];
    `landmarks` is float64 (5, 2): the eye on the picture's left, the eye on its right, the nose,
    the mouth's left and right corner. Pixel (x, y) has its centre at (x, y).
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Floats

    @property
    def side(self) -> float:
        """The root of the box's area, in pixels."""
        left, top, right, bottom = self.box
        return float(np.sqrt(max(right - left, 0.0) * max(bottom - top, 0.0)))


class Detector(Protocol):
    """Finds faces. `fingerprint` is the sha256 of what it was made from, in hexadecimal."""

    fingerprint: str

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """The faces of a photograph, `uint8 (H, W, 3)` RGB, the highest score first.

        Raises DataError for an image of another shape or dtype.
        """
        ...


class Choice(NamedTuple):
    """Which face of the list, and in words why it was taken."""

    place: int
    reason: str


def choose_face(faces: Sequence[Face], height: int, width: int) -> Choice:
    """Which of several faces a photograph of `height` x `width` pixels was taken of.

    The largest; among faces of about its size, the one nearest to the middle of the photograph
    (our choice). `faces` must not be empty.
    """
    if len(faces) == 1:
        return Choice(0, "the only face")
    sides = np.array([face.side for face in faces])
    order = np.argsort(-sides, kind="stable")
    alike = [int(i) for i in order if sides[i] >= ONE_SIZE * sides[order[0]]]
    if len(alike) == 1:
        times = sides[order[0]] / max(sides[order[1]], 1e-9)
        return Choice(
            alike[0], f"the largest of {len(faces)}, {times:.1f} times as wide as the next"
        )
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    nearest = min(alike, key=lambda i: float(np.linalg.norm(_centre(faces[i]) - middle)))
    return Choice(
        nearest, f"the nearest to the middle of {len(alike)} of about one size ({len(faces)} faces)"
    )


def _centre(face: Face) -> Floats:
    left, top, right, bottom = face.box
    return np.array([(left + right) / 2, (top + bottom) / 2])
