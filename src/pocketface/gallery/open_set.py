"""Who it is, where nobody is an answer, and how often a stranger is taken for somebody.

A threshold is measured on pairs: its false accept rate (FAR) says how often one stranger passes for
one other face. In a gallery a stranger meets many. Were these comparisons independent, the chance
that one of N passes, the false-positive identification rate, would be FPIR = 1 - (1 - FAR)^N. They
are not quite (some faces resemble many), so it is an estimate. N lies between the number of
people and that of templates: several templates of a person are tries that resemble one another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Gallery, Match


@dataclass(frozen=True)
class Answer:
    """Who a face is: `person` is None for somebody unknown.

    `candidates` are the most similar people, the first of whom decides, whatever the threshold.
    """

    person: str | None
    candidates: tuple[Match, ...]


def identify(
    gallery: Gallery, queries: npt.NDArray[np.floating], threshold: float, k: int = 1
) -> list[Answer]:
    """Who each of the queries (Q, D) is: the most similar person, if `threshold` is reached.

    `threshold` is a cosine, -1 to 1. Raises GalleryError as `Gallery.search`, and for a threshold
    out of range.
    """
    if not -1 <= threshold <= 1:
        raise GalleryError(f"a threshold is a cosine from -1 to 1, got {threshold:g}.")
    return [decide(matches, threshold) for matches in gallery.search(queries, k)]


def decide(matches: Sequence[Match], threshold: float) -> Answer:
    """The answer that follows from the most similar people, best first."""
    known = bool(matches) and matches[0].similarity >= threshold
    return Answer(matches[0].person if known else None, tuple(matches))


def false_positive_rate(far: float, comparisons: int) -> float:
    """The chance that one of so many comparisons of a stranger passes, each with chance `far`.

    `far` lies from 0 to 1. Independence is assumed.
    """
    if far >= 1:
        return 1.0 if comparisons else 0.0
    return -math.expm1(comparisons * math.log1p(-far))
