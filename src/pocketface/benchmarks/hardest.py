"""The pairs that a network gets most wrong, as cases to look at."""

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.cases import Case, CaseGroup
from pocketface.benchmarks.folds import fold_numbers
from pocketface.benchmarks.pair_result import PairResult
from pocketface.data.pairs import PairSet


def hardest_pairs(
    result: PairResult, scores: npt.NDArray[np.float64], pairs: PairSet, count: int
) -> list[CaseGroup]:
    """The `count` most similar pairs of two people, and least similar pairs of one person.

    `scores` is float64 (P,), the similarity of each pair. A pair is wrong if the accuracy's
    threshold of its fold errs on it.
    """
    if len(scores) != len(pairs.same):
        raise ValueError(f"{len(scores)} scores belong to another set than {len(pairs)} pairs")
    fold = fold_numbers(len(scores), len(result.folds))
    thresholds = np.array([entry.accuracy_threshold for entry in result.folds])[fold]
    wrong = (2 - 2 * scores < thresholds) != pairs.same

    def cases(candidates: npt.NDArray[np.int64], order: npt.NDArray[np.float64]) -> list[Case]:
        chosen = candidates[np.argsort(order[candidates], kind="stable")][:count]
        return [_case(pairs, int(pair), float(scores[pair]), bool(wrong[pair])) for pair in chosen]

    return [
        CaseGroup(
            "Most similar pairs of two people",
            cases(np.flatnonzero(~pairs.same), -scores),
            "taken for one person",
        ),
        CaseGroup(
            "Least similar pairs of one person",
            cases(np.flatnonzero(pairs.same), scores),
            "taken for two people",
        ),
    ]


def _case(pairs: PairSet, pair: int, similarity: float, wrong: bool) -> Case:
    images = [int(pairs.left[pair]), int(pairs.right[pair])]
    return Case(
        images=[pairs.pixels(image) for image in images],
        caption="\n".join(pairs.names[image] for image in images),
        similarity=similarity,
        wrong=wrong,
    )
