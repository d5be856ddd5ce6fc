"""What a network gets most wrong on MegaFace, with pictures where there are images."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.cases import Case, CaseGroup
from pocketface.benchmarks.megaface.measure import ProtocolFigures

_SHOWN = 8

Picture = Callable[[int], npt.NDArray[np.uint8] | None]
"""Gives image i, uint8 (H, W, 3) RGB, or None where there is none."""


def worst_cases(
    figures: ProtocolFigures,
    probes: tuple[tuple[str, ...], Picture],
    distractors: tuple[tuple[str, ...], Picture],
    replaced: npt.NDArray[np.bool_],
) -> list[CaseGroup]:
    """The most similar impostor pairs, and the least similar pairs of one person.

    Each probe is shown once, those `replaced`, bool (P,), not at all: what stands in for them is
    no picture. `probes` and `distractors` are the images' names and pictures. An error is one at
    the threshold of the lowest FAR.
    """
    threshold = figures.points[0].threshold if figures.points else np.inf
    at = f" at FAR {figures.points[0].far:g}" if figures.points else ""

    def case(
        similarity: float, wrong: bool, *sides: tuple[tuple[tuple[str, ...], Picture], int]
    ) -> Case:
        pictures = [picture(number) for (_, picture), number in sides]
        return Case(
            images=[picture for picture in pictures if picture is not None],
            caption="\n".join(names[number] for (names, _), number in sides),
            similarity=similarity,
            wrong=wrong,
        )

    tail = figures.tail
    nearest = np.flatnonzero(~replaced[tail.probe])
    nearest = nearest[np.argsort(-tail.similarity[nearest], kind="stable")]
    matches = [
        case(
            float(tail.similarity[entry]),
            bool(tail.similarity[entry] > threshold),
            (probes, int(tail.probe[entry])),
            (distractors, int(tail.distractor[entry])),
        )
        for entry in _first_of_each(nearest, tail.probe)
    ]
    lost = np.flatnonzero(figures.enrolled < figures.probe)  # the other order is the same pair
    lost = lost[~replaced[figures.enrolled[lost]] & ~replaced[figures.probe[lost]]]
    lost = lost[np.argsort(figures.genuine[lost], kind="stable")]
    misses = [
        case(
            float(figures.genuine[pair]),
            bool(figures.genuine[pair] <= threshold),
            (probes, int(figures.enrolled[pair])),
            (probes, int(figures.probe[pair])),
        )
        for pair in _first_of_each(lost, figures.probe)
    ]
    return [
        CaseGroup(
            f"Distractors most similar to a probe ({figures.name})",
            matches,
            f"taken for one person{at}",
        ),
        CaseGroup(
            f"Least similar pairs of one person ({figures.name})",
            misses,
            f"taken for two people{at}",
        ),
    ]


def _first_of_each(order: npt.NDArray[np.int64], owner: npt.NDArray[np.int64]) -> list[int]:
    """The first entries in `order` of different owners."""
    chosen: dict[int, int] = {}
    for entry in order.tolist():
        chosen.setdefault(int(owner[entry]), entry)
        if len(chosen) == _SHOWN:
            break
    return list(chosen.values())
