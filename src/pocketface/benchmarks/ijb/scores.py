"""Similarities of millions of template pairs: all of them quickly, those that decide exactly.

All pairs are scored in 32 bits, strip by strip of the matrix of similarities. How a matrix product
rounds depends on the machine and on where a pair lies in the matrix; a figure must not. So every
count at a threshold is made exact: pairs whose quick score is too near the threshold to be sure
are scored again in 64 bits, always in one order. The bound on the quick scores' error is the
rigorous one for unit vectors.

Shapes: P pairs, N pairs of two people (impostors), G pairs of one person, T templates, D numbers
of an embedding.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.ijb.template_pairs import PairTable
from pocketface.embedding.unit import quick_products

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Units = npt.NDArray[np.float32]

_STRIP = 1 << 23
"""Similarities that a strip of the matrix has room for."""

_ROWS = 256
"""Rows of a strip at most."""

_BLOCK = 1 << 20
"""Pairs that are looked at at once."""

_SPARSE = 64
"""A strip that holds fewer than one pair in so many is not computed whole: single products of rows
take about so much longer than one of a matrix."""


def exact_similarity(units: Units, left: Ints, right: Ints) -> Floats:
    """Products of rows of `units` (T, D) in 64 bits, float64 (n,), the same wherever they stand."""
    result = np.empty(len(left))
    step = max(1, (1 << 19) // units.shape[1])
    for start in range(0, len(left), step):
        part = slice(start, start + step)
        one, two = units[left[part]].astype(np.float64), units[right[part]].astype(np.float64)
        one *= two
        result[part] = one.sum(axis=1)
    return result


def rounding_bound(size: int) -> float:
    """How far a 32-bit product of two unit vectors of `size` numbers may be from the exact one."""
    return (size + 2) * 2.0**-24


def quick_similarity(units: Units, pairs: PairTable) -> npt.NDArray[np.float32]:
    """Similarities of all pairs, float32 (P,), within `rounding_bound`.

    `units` is float32 (T, D), rows by place (`PairTable.order`).
    """
    scores = np.empty(len(pairs), np.float32)
    # Rows of the strip have room for as many places as a key can name: so the key says where the
    # score of a pair is, and nothing has to be taken apart.
    height = min(_ROWS, max(1, _STRIP >> pairs.bits))
    strip = np.empty((height, 1 << pairs.bits), np.float32)
    start = 0
    while start < len(pairs):
        top = int(pairs.pair_places(slice(start, start + 1))[0][0])
        begins = pairs.begins(np.arange(top, top + height + 1))
        stop = int(begins[-1])
        filled = begins[:-1] < begins[1:]
        lowest = int(pairs.pair_places(begins[:-1][filled])[1].min())
        behind = int(pairs.pair_places(begins[1:][filled] - 1)[1].max()) + 1
        bottom = top + int(np.flatnonzero(filled)[-1]) + 1
        part, found = slice(start, stop), scores[start:stop]
        if (stop - start) * _SPARSE < (bottom - top) * (behind - lowest):
            _score_rows(units, *pairs.pair_places(part), found)
        else:
            matrix = strip[: bottom - top, lowest:behind]
            quick_products(units[top:bottom], units[lowest:behind].T, matrix)
            cells = pairs.cells(part).astype(np.intp)
            cells -= top << pairs.bits
            np.take(strip.reshape(-1), cells, out=found, mode="clip")
        start = stop
    return scores


class OrderStatistic(NamedTuple):
    """An impostor score: how many impostors score more, how many as much or more."""

    value: float
    above: int
    reaching: int


@dataclass(frozen=True)
class _Window:
    """All impostors whose quick score is in [low, high): their exact scores, ascending.

    `above` is how many impostors have a quick score beyond.
    """

    low: float
    high: float
    exact: Floats
    above: int


class TemplateScores:
    """The similarities of all pairs, as far as a figure can ask for them.

    Attributes:
        genuine: float64 (G,), exact, ascending.
        genuine_pairs: int64 (G,), the pairs of `genuine`, in its order.
        quick: float32 (P,), the quick scores; -inf for pairs of one person.
        impostors: N.
    """

    def __init__(self, pairs: PairTable, templates: Units) -> None:
        """`templates` is float32 (T, D), unit rows, in the order of the template table."""
        self.pairs = pairs
        self._units = templates[pairs.order]
        genuine = pairs.genuine()
        exact = exact_similarity(self._units, *pairs.pair_places(genuine))
        order = np.argsort(exact, kind="stable")
        self.genuine, self.genuine_pairs = exact[order], genuine[order]
        self.impostors = len(pairs) - len(genuine)
        self.quick = quick_similarity(self._units, pairs)
        self.quick[genuine] = -np.inf
        self._ranks = _Ranks(self.quick, self.impostors)
        self._bound = rounding_bound(templates.shape[1])
        self._windows: list[_Window] = []

    def impostor(self, rank: int) -> OrderStatistic:
        """The exact score of rank `rank`, 1 for the largest, of the pairs of two people."""
        if not 1 <= rank <= self.impostors:
            raise ValueError(f"there is no rank {rank} among {self.impostors}")
        window = self._window(self._ranks.score(rank))
        last = window.above + len(window.exact)
        value = float(window.exact[last - rank])
        return OrderStatistic(
            value=value,
            above=last - int(np.searchsorted(window.exact, value, "right")),
            reaching=last - int(np.searchsorted(window.exact, value, "left")),
        )

    def genuine_above(self, value: float) -> int:
        """How many pairs of one person score more than `value`."""
        return len(self.genuine) - int(np.searchsorted(self.genuine, value, "right"))

    def top_impostors(self, count: int) -> tuple[Ints, npt.NDArray[np.float32]]:
        """The `count` impostor pairs of the largest quick scores (and ties), and the scores.

        Descending; equal scores by pair.
        """
        count = min(count, self.impostors)
        if not count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        chosen = self._inside([(self._ranks.score(count), np.inf)])[0]
        order = np.argsort(-self.quick[chosen], kind="stable")
        return chosen[order], self.quick[chosen[order]]

    def prepare(self, ranks: Iterable[int]) -> None:
        """Look for what `impostor` needs for all `ranks` in one pass over the pairs."""
        spans: list[tuple[float, float]] = []
        deepest_first = sorted(ranks, reverse=True)
        for about in sorted({self._ranks.score(rank) for rank in deepest_first}):
            # Twice as wide as needed: the next lower score is often asked for as well.
            low, high = _outwards(about - 4 * self._bound, about + 4 * self._bound)
            if spans and low <= spans[-1][1]:
                low, high = spans.pop()[0], high
            spans.append((low, high))
        for (low, high), near in zip(spans, self._inside(spans), strict=True):
            exact = exact_similarity(self._units, *self.pairs.pair_places(near))
            exact.sort()
            above = self._ranks.reaching(high)
            self._windows.append(_Window(low, high, exact, above))

    def _window(self, about: float) -> _Window:
        """A window with every impostor whose exact score may be what a quick score means."""
        low, high = about - 2 * self._bound, about + 2 * self._bound
        for window in self._windows:
            if window.low <= low and high < window.high:
                return window
        self.prepare([self._ranks.reaching(about)])
        return self._windows[-1]

    def _inside(self, spans: list[tuple[float, float]]) -> list[Ints]:
        """The impostor pairs whose quick score is in each of the disjoint [low, high)."""
        edges = np.array(spans, np.float32).reshape(-1)
        found, spans_found = [], []
        for start in range(0, len(self.quick), _BLOCK):
            scores = self.quick[start : start + _BLOCK]
            # Most scores are below every span that is ever asked for.
            near = np.flatnonzero(scores >= edges[0])
            places = np.searchsorted(edges, scores[near], "right")
            inside = (places & 1).astype(np.bool_)
            found.append(start + near[inside])
            spans_found.append(places[inside] >> 1)
        pairs, span = np.concatenate(found), np.concatenate(spans_found)
        return [pairs[span == number] for number in range(len(spans))]


class _Ranks:
    """The quick scores in order, as far down as anybody has asked."""

    def __init__(self, scores: npt.NDArray[np.float32], count: int) -> None:
        """The `count` largest of `scores` count, the others do not."""
        self._scores = scores
        self._count = count
        self._top = np.empty(0, np.float32)

    def score(self, rank: int) -> float:
        """The score of rank `rank`, 1 for the largest."""
        if rank > len(self._top):
            # Half as many more: what lies around the score is asked for next.
            keep = min(self._count, rank + rank // 2 + 1000)
            cut = len(self._scores) - keep
            self._top = np.sort(np.partition(self._scores, cut)[cut:])
        return float(self._top[-rank])

    def reaching(self, score: float) -> int:
        """How many scores are as much as `score` or more."""
        while len(self._top) < self._count and (not len(self._top) or self._top[0] >= score):
            self.score(len(self._top) + 1)
        return len(self._top) - int(np.searchsorted(self._top, np.float32(score)))


def _outwards(low: float, high: float) -> tuple[float, float]:
    """The next 32-bit numbers at or beyond `low` and `high`."""
    below, beyond = np.float32(low), np.float32(high)
    if below > low:
        below = np.nextafter(below, np.float32(-np.inf))
    if beyond < high:
        beyond = np.nextafter(beyond, np.float32(np.inf))
    return float(below), float(beyond)


def _score_rows(units: Units, rows: Ints, columns: Ints, found: npt.NDArray[np.float32]) -> None:
    """Score some pairs one by one, into `found`."""
    step = max(1, (1 << 19) // units.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        np.einsum("ij,ij->i", units[rows[part]], units[columns[part]], out=found[part])
