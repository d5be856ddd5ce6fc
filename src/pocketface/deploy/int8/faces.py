"""Faces to set ranges with, and others to measure the loss on: drawn, or of a training set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.data import decode_rgb, open_faces
from pocketface.deploy.parity import draw_faces
from pocketface.embedding.resize import resize_faces
from pocketface.errors import DataError, RecipeError

SYNTHETIC = "synthetic"
"""Names people that never lived; `synthetic:N` draws N of them."""

USUAL = 128
"""Faces to set ranges with, unless another number is asked for."""

HELD_OUT = 48
"""Faces that neither set a range nor teach: the loss is measured on them."""

_FEWEST = 8


@dataclass(frozen=True)
class CalibrationFaces:
    """Aligned faces, uint8 (N, S, S, 3) RGB.

    Attributes:
        seen: set the ranges, choose the sensitive layers, and teach.
        held_out: nothing but the loss is measured on them.
        source: where they are from, in words.
    """

    seen: npt.NDArray[np.uint8]
    held_out: npt.NDArray[np.uint8]
    source: str


def read_calibration_faces(
    wanted: str, size: int, generator: np.random.Generator
) -> CalibrationFaces:
    """Faces of `size` pixels from `synthetic[:N]`, a folder per person, or a `.rec`.

    Of a set, `USUAL` images and `HELD_OUT` others are drawn with `generator`; of a small set, a
    third is held out. Raises RecipeError for a number of faces that is too small or none, and
    DataError for a set that cannot be read or has fewer than 8 images.
    """
    name, _, number = wanted.partition(":")
    if name == SYNTHETIC:
        count = _read_count(wanted, number)
        drawn = draw_faces(count + HELD_OUT, size, generator)
        return CalibrationFaces(drawn[:count], drawn[count:], f"{count} synthetic people")
    faces = open_faces(Path(wanted))
    if len(faces) < _FEWEST:
        raise DataError(
            f"{wanted} has {len(faces)} images; ranges need at least {_FEWEST}, better {USUAL}. "
            f"Give more faces, or take '{SYNTHETIC}'."
        )
    held = min(HELD_OUT, len(faces) // 3)
    chosen = generator.permutation(len(faces))[: USUAL + held].tolist()
    images = np.concatenate(
        [resize_faces(decode_rgb(faces.encoded(i), faces.name(i))[None], size) for i in chosen]
    )
    seen = images[held:]
    return CalibrationFaces(seen, images[:held], f"{len(seen)} images of {Path(wanted).name}")


def _read_count(wanted: str, number: str) -> int:
    if not number and ":" not in wanted:
        return USUAL
    if not number.isdecimal() or int(number) < _FEWEST:
        raise RecipeError(
            f"'{wanted}' names no number of faces: give {SYNTHETIC}:N with N at least {_FEWEST}, "
            f"such as {SYNTHETIC}:{USUAL}."
        )
    return int(number)
