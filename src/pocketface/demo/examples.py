"""Pairs to show a person: what the network got right and wrong, with their scores."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.folds import fold_numbers
from pocketface.benchmarks.pair_result import PairResult
from pocketface.data.pairs import PairSet


@dataclass(frozen=True)
class Example:
    """A pair of images by number, its similarity, the truth, and the verdict."""

    left: int
    right: int
    similarity: float
    same: bool
    right_verdict: bool


def choose_examples(
    result: PairResult, similarity: npt.NDArray[np.float64], pairs: PairSet, count: int
) -> list[Example]:
    """Up to `count` pairs of each kind: one person or two, judged rightly or wrongly.

    Of those judged rightly the ordinary ones are shown (nearest to the median similarity of their
    kind), of those judged wrongly the worst. `similarity` is float64 (P,), in the set's order.
    """
    fold = fold_numbers(len(similarity), len(result.folds))
    thresholds = np.array([entry.accuracy_threshold for entry in result.folds])[fold]
    right = (2 - 2 * similarity < thresholds) == pairs.same
    examples = []
    for same in (True, False):
        for verdict in (True, False):
            candidates = np.flatnonzero((pairs.same == same) & (right == verdict))
            if not len(candidates):
                continue
            scores = similarity[candidates]
            worst = scores if same else -scores
            order = np.abs(scores - np.median(scores)) if verdict else worst
            for pair in candidates[np.argsort(order, kind="stable")][:count]:
                examples.append(
                    Example(
                        int(pairs.left[pair]),
                        int(pairs.right[pair]),
                        float(similarity[pair]),
                        same,
                        verdict,
                    )
                )
    return examples
