"""The most similar people from Milvus's most similar templates.

Milvus compares in float32 and gives so many templates, best first. Their vectors come with them,
and what is told is computed from these in float64, as the exact search does, so that the figures
are the same to the last digit. No template that Milvus kept back can score higher than the last it
gave, up to the rounding of float32, which is bounded: a person above that line is certain, with an
index that is exact. Where too few are, more templates are asked for.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Match
from pocketface.gallery.search import similarities

Floats = npt.NDArray[np.float64]

MOST_ROWS = 16384
"""The most templates that Milvus gives for one query."""

_FEWEST_ROWS = 16
_ROWS_PER_PERSON = 4
_MORE = 8
"""How many times more templates are asked for where too few people are certain."""

_ROWS_AT_ONCE = 1 << 15
"""Templates of one answer, for all queries together: 16 MB at 128 numbers. Milvus allows 64."""


class Hit(NamedTuple):
    """A template that Milvus found: `score` is its own, `vector` float32 (D,).

    `order` tells which of two templates was enrolled first.
    """

    person: str
    photo: str
    order: tuple[int, str]
    score: float
    vector: npt.NDArray[np.float32]


Ask = Callable[[Floats, int, list[str]], list[list[Hit]]]
"""Gives, for queries (Q, D), so many templates each, best first, but none of these people's."""


def best_people(ask: Ask, queries: Floats, k: int) -> list[list[Match]]:
    """The `k` people most similar to each of the unit vectors `queries` (Q, D), best first.

    Raises GalleryError where more templates are as similar as the last than Milvus can give.
    """
    answers: list[list[Match]] = [[] for _ in queries]
    pending = np.arange(len(queries))
    limit = min(MOST_ROWS, max(_FEWEST_ROWS, _ROWS_PER_PERSON * k))
    while len(pending):
        unsure = []
        together = max(1, _ROWS_AT_ONCE // limit)
        for start in range(0, len(pending), together):
            part = pending[start : start + together]
            for number, hits in zip(part, ask(queries[part], limit, []), strict=True):
                people, certain = _people(hits, queries[number], limit)
                if certain >= k or len(hits) < limit:
                    answers[number] = _told(people, k)
                elif limit == MOST_ROWS:
                    answers[number] = _told(_beyond(ask, queries[number], k, people[:certain]), k)
                else:
                    unsure.append(number)
        pending = np.array(unsure, np.int64)
        limit = min(MOST_ROWS, _MORE * limit)
    return answers


class _Best(NamedTuple):
    """A person's best template; the most similar sorts first."""

    negative: float
    order: tuple[int, str]
    person: str
    photo: str


def _beyond(ask: Ask, query: Floats, k: int, known: list[_Best]) -> list[_Best]:
    """Somebody has more templates than Milvus gives at once: who is certain is left out."""
    while len(known) < k:
        (hits,) = ask(query[None], MOST_ROWS, [each.person for each in known])
        people, certain = _people(hits, query, MOST_ROWS)
        if people and not certain:
            raise GalleryError(
                f"more than {MOST_ROWS:,} templates are equally similar to this face, which is "
                "more than Milvus gives. Look for one photograph enrolled under many names."
            )
        known = known + people[:certain]
        if len(hits) < MOST_ROWS:
            break
    return known


def _people(hits: Sequence[Hit], query: Floats, limit: int) -> tuple[list[_Best], int]:
    """Everybody in the hits, best first, and how many of them, from the first on, are certain."""
    if not hits:
        return [], 0
    exact = similarities(np.stack([hit.vector for hit in hits]), query)
    best: dict[str, _Best] = {}
    for hit, similarity in zip(hits, exact.tolist(), strict=True):
        found = _Best(-similarity, hit.order, hit.person, hit.photo)
        best[hit.person] = min(found, best.get(hit.person, found))
    people = sorted(best.values())
    if len(hits) < limit:
        return people, len(people)
    line = min(hit.score for hit in hits) + _error_bound(len(query))
    return people, sum(-each.negative > line for each in people)


def _told(people: Sequence[_Best], k: int) -> list[Match]:
    """The first `k`; people of one similarity, as it is told, are in the order of names."""
    last = people[min(k, len(people)) - 1].negative if people else 0.0
    matches = [
        Match(each.person, min(max(-each.negative, -1.0), 1.0), each.photo)
        for each in people
        if each.negative <= last
    ]
    return sorted(matches, key=lambda match: (-match.similarity, match.person))[:k]


def _error_bound(size: int) -> float:
    """How far a float32 product of unit vectors (size,) may lie from the exact one.

    Of rounding the query, and D products and sums in any order.
    """
    return float((size + 8) * 2.0**-24)
