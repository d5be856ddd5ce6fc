"""The pairs that a network gets most wrong: look at them before believing a figure."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketface.benchmarks.folds import fold_numbers
from pocketface.benchmarks.pair_result import PairResult
from pocketface.data.pairs import PairSet

_THUMBNAIL = 112
"""Largest side of a thumbnail in pixels."""


@dataclass(frozen=True)
class HardPair:
    """A pair, how similar the network finds it, and whether its fold's threshold errs on it."""

    left: int
    right: int
    similarity: float
    wrong: bool


def hardest_pairs(
    result: PairResult, pairs: PairSet, count: int
) -> tuple[list[HardPair], list[HardPair]]:
    """The `count` most similar pairs of two people, and least similar pairs of one person."""
    similarity = np.array(result.scores, np.float64)
    if len(similarity) != len(pairs.same):
        raise ValueError("the result carries no scores, or those of another set of pairs")
    fold = fold_numbers(len(similarity), len(result.folds))
    thresholds = np.array([entry.accuracy_threshold for entry in result.folds])[fold]
    wrong = (2 - 2 * similarity < thresholds) != pairs.same

    def chosen(candidates: npt.NDArray[np.int64], order: npt.NDArray[np.float64]) -> list[HardPair]:
        best = candidates[np.argsort(order[candidates], kind="stable")][:count]
        return [
            HardPair(
                int(pairs.left[pair]),
                int(pairs.right[pair]),
                float(similarity[pair]),
                bool(wrong[pair]),
            )
            for pair in best
        ]

    return (
        chosen(np.flatnonzero(~pairs.same), -similarity),
        chosen(np.flatnonzero(pairs.same), similarity),
    )


def thumbnail(pairs: PairSet, image: int) -> str:
    """Image number `image` as the data address of a small JPEG."""
    picture = Image.fromarray(pairs.pixels(image))
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
