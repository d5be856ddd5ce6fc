"""The pairs of templates that a network gets most wrong, each shown by its clearest faces."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.cases import Case, CaseGroup
from pocketface.benchmarks.ijb.face_table import FaceTable
from pocketface.benchmarks.ijb.scores import TemplateScores

Ints = npt.NDArray[np.int64]

_SHOWN = 8
"""Cases of each kind."""


def worst_cases(
    scores: TemplateScores,
    faces: FaceTable,
    fetch: Callable[[int], npt.NDArray[np.uint8]],
    threshold: float | None,
) -> list[CaseGroup]:
    """The most similar pairs of two people, and the least similar ones of one person.

    `fetch` gives an aligned face. A case is wrong if `threshold` errs on it; None is no threshold.
    """
    impostors, similarity = scores.top_impostors(_SHOWN)
    genuine = scores.genuine_pairs[:_SHOWN]
    clearest = _clearest(faces)

    def case(pair: int, similarity: float, same: bool) -> Case:
        rows = [int(row[0]) for row in scores.pairs.pair_rows(np.array([pair]))]
        images = [int(clearest[row]) for row in rows]
        captions = [
            f"template {faces.templates[row]}: {faces.names[image]}"
            for row, image in zip(rows, images, strict=True)
        ]
        wrong = threshold is not None and (similarity >= threshold) != same
        return Case([fetch(image) for image in images], "\n".join(captions), similarity, wrong)

    return [
        CaseGroup(
            "Most similar pairs of two people",
            [
                case(pair, value, False)
                for pair, value in zip(
                    impostors[:_SHOWN].tolist(), similarity[:_SHOWN].tolist(), strict=True
                )
            ],
            error="taken for one person",
        ),
        CaseGroup(
            "Least similar pairs of one person",
            [
                case(pair, value, True)
                for pair, value in zip(
                    genuine.tolist(), scores.genuine[:_SHOWN].tolist(), strict=True
                )
            ],
            error="taken for two people",
        ),
    ]


def _clearest(faces: FaceTable) -> Ints:
    """The face with the largest detector score of each template, int64 (T,)."""
    order = np.argsort(faces.detector_score, kind="stable")
    clearest = np.empty(len(faces.templates), np.int64)
    clearest[faces.template[order]] = order  # the last one written stays: the largest
    return clearest
