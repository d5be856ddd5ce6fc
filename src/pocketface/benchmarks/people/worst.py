"""Pictures for the page: what the checks found, and the pairs that the network gets most wrong."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.cases import Case, CaseGroup
from pocketface.benchmarks.people.near_copies import NearCopy
from pocketface.benchmarks.people.orientation import Turned
from pocketface.benchmarks.people.protocol import Plan
from pocketface.benchmarks.people.two_names import TwoNames

Floats = npt.NDArray[np.float64]
Fetch = Callable[[int], npt.NDArray[np.uint8]]

_SHOWN = 8
"""Cases of each kind."""


def found_cases(
    pairs: Sequence[TwoNames],
    copies: Sequence[NearCopy],
    turned: Sequence[Turned],
    plan: Plan,
    directions: Floats,
    name: Callable[[int], str],
    fetch: Fetch,
) -> list[CaseGroup]:
    """What the checks found, the surest first; kinds without a case are left away.

    `pairs` count people in the order of their numbers; `copies` and `turned` count chosen images,
    as `name` and `fetch` do.
    """
    people = np.unique(plan.people)
    groups = []
    alike = []
    for pair in pairs[:_SHOWN]:
        left, right = (np.flatnonzero(plan.people == people[row]) for row in pair[:2])
        products = directions[left] @ directions[right].T
        row, column = np.unravel_index(int(np.argmax(products)), products.shape)
        images = [int(left[row]), int(right[column])]
        alike.append(_case(images, pair.similarity, name, fetch))
    groups.append(CaseGroup("People who may be one", alike, "perhaps one person under two names"))
    groups.append(
        CaseGroup(
            "Nearly the same picture",
            [_case([one.left, one.right], one.similarity, name, fetch) for one in copies[:_SHOWN]],
            "perhaps copies",
        )
    )
    groups.append(
        CaseGroup(
            "Not upright",
            [
                _case(
                    [one.image],
                    one.likeness,
                    name,
                    fetch,
                    f"\n{one.words}; the number: how like the average face once turned",
                )
                for one in turned[:_SHOWN]
            ],
            "perhaps turned",
        )
    )
    return [group for group in groups if group.cases]


def worst_pairs(
    scores: Floats, plan: Plan, threshold: float | None, name: Callable[[int], str], fetch: Fetch
) -> list[CaseGroup]:
    """The most similar pairs of two people, and the least similar ones of one person.

    A pair is wrong if `threshold` errs on it; None is no threshold.
    """

    def cases(same: bool) -> list[Case]:
        pairs = np.flatnonzero(plan.same == same)
        order = scores[pairs] if same else -scores[pairs]
        return [
            _case(
                [int(plan.left[pair]), int(plan.right[pair])],
                float(scores[pair]),
                name,
                fetch,
                wrong=threshold is not None and bool((scores[pair] >= threshold) != same),
            )
            for pair in pairs[np.argsort(order, kind="stable")][:_SHOWN].tolist()
        ]

    return [
        CaseGroup("Most similar pairs of two people", cases(same=False), "taken for one person"),
        CaseGroup("Least similar pairs of one person", cases(same=True), "taken for two people"),
    ]


def _case(
    images: list[int],
    similarity: float,
    name: Callable[[int], str],
    fetch: Fetch,
    more: str = "",
    *,
    wrong: bool = True,
) -> Case:
    caption = "\n".join(name(image) for image in images) + more
    return Case([fetch(image) for image in images], caption, similarity, wrong)
